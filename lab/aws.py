"""A small `aws`, for a shell in the lab on a machine that has none: operations and their options.

What it prints is JSON. `--query` and the like are the real one's alone.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Sequence
from typing import Any

import boto3
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError
from botocore.model import Shape

USAGE = "aws SERVICE OPERATION [--OPTION [VALUE...]]...; for more than that install awscli"


def main(words: Sequence[str]) -> int:
    """Call the operation; the exit status is as the real one's."""
    try:
        service, operation, *options = words
        client = boto3.client(service)
        verb = xform_name(operation.title().replace("-", ""))
        model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[verb])
        answer = getattr(client, verb)(**_arguments(model.input_shape, options))
    except (ValueError, KeyError):
        print(f"aws: {' '.join(words)}: {USAGE}", file=sys.stderr)
        return 252
    except (BotoCoreError, ClientError) as problem:
        print(f"aws: {problem}", file=sys.stderr)
        return 254
    del answer["ResponseMetadata"]
    if answer:
        print(json.dumps(answer, indent=4, default=str))
    return 0


def _arguments(shape: Shape, options: Sequence[str]) -> dict[str, Any]:
    """What boto3 takes; KeyError or ValueError where an option is none of the operation's."""
    members = {xform_name(name, "-"): name for name in shape.members}
    found: dict[str, Any] = {}
    words = [*options]
    while words:
        name = members[words.pop(0).removeprefix("--")]
        values = [*itertools.takewhile(lambda word: not word.startswith("--"), words)]
        del words[: len(values)]
        found[name] = _value(shape.members[name], values)
    return found


def _value(shape: Shape, words: Sequence[str]) -> Any:
    """It, of that type: words, JSON, or `Name=...,Values=...`."""
    if shape.type_name == "boolean":
        return True
    if words[0][:1] in ("[", "{"):
        return json.loads(words[0])
    if shape.type_name == "list":
        return [_value(shape.member, [word]) for word in words]
    (word,) = words
    if shape.type_name == "structure":
        pairs = (pair.partition("=") for pair in re.split(r",(?=\w+=)", word))
        return {key: _value(shape.members[key], value.split(",")) for key, _, value in pairs}
    return int(word) if shape.type_name in ("integer", "long") else word


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
