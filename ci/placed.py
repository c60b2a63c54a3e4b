"""Print where a stack is, and what it is tagged with, as variables of a workflow's later steps.

Usage: python3 -m ci.placed STACK

The lines are REGION=..., empty where `aws:region` is not in the stack file, APP=...,
ENVIRONMENT=..., and INSTANCES=yes or no: whether the stack file declares any.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

from ci.pin import pulumi

REGION = "aws:region"
APP = "satellite:app"
ENVIRONMENT = "satellite:environment"
INSTANCES = ("satellite:count", "satellite:names")


def placed(stack: str) -> dict[str, str]:
    """The variables; CalledProcessError when the stack cannot be read, KeyError without an app."""
    known = json.loads(pulumi(stack, "config", "--json"))
    # what is secret has no value
    declared = [k for k in INSTANCES if k in known and known[k].get("value") not in ("", "[]")]
    values = {key: setting.get("value", "") for key, setting in known.items()}
    return {
        "REGION": values.get(REGION, ""),
        "APP": values[APP],
        "ENVIRONMENT": values.get(ENVIRONMENT) or stack,
        "INSTANCES": "yes" if declared else "no",
    }


def main(arguments: list[str]) -> int:
    """0 when printed; 1 and one message on stderr where the app is missing; else the status of the
    command that failed.
    """
    parser = argparse.ArgumentParser(prog="ci.placed", description=__doc__.split("\n")[0])
    parser.add_argument("stack")
    parsed = parser.parse_args(arguments)
    try:
        found = placed(parsed.stack)
    except subprocess.CalledProcessError as error:
        return error.returncode
    except KeyError:
        print(f"error: {parsed.stack} has no {APP}", file=sys.stderr)
        return 1
    for name, value in found.items():
        print(f"{name}={value}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
