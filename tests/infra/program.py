"""Run the program as it is against mocks, and write down all that the engine would be asked for."""

from __future__ import annotations

import os
import re
import runpy
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import yaml
from google.protobuf import json_format
from pulumi.runtime import config as pulumi_config
from pulumi.runtime import mocks, rpc
from pulumi.runtime.settings import get_root_resource
from pulumi.runtime.stack import Stack

from satellite_infra import keys
from satellite_infra.former import ASK_ALL
from satellite_infra.naming import STACK_OUTPUTS

from .conftest import LOGIN, SECRET, SEED

CHECKOUT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"


class Ec2(mocks.Mocks):
    """Gives every resource an id, and instances their addresses, in the order of their names."""

    def __init__(
        self,
        image: str | None,
        former: dict[str, Any],
        kept: Mapping[str, str],
        noted: dict[str, Any],
    ) -> None:
        self.image, self.former, self.kept, self.noted = image, former, kept, noted
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def call(self, args: mocks.MockCallArgs) -> Any:
        if args.token == STACK_OUTPUTS:
            assert args.args == {"name": "acme/satellite/staging"}
            return {"outputs": self.former}
        if args.token == ASK_ALL:
            assert args.args == {"stackName": "acme/satellite/staging"}
            return {"outputs": self.noted}
        self.asked.append((args.token, args.args))
        assert self.image is not None, f"the program should ask for nothing, asked {args.token}"
        if not self.image:
            return {}, [("filters", "Your query returned no results.")]
        return {**args.args, "id": self.image}

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        computed: dict[str, Any] = {}
        if args.typ == "aws:ec2/instance:Instance":
            number = re.sub(r"\D", "", args.name) or "99"
            computed = {
                "privateIp": f"172.31.0.{number}",
                "publicIp": f"198.51.100.{number}",
                "arn": f"arn:aws-eu:ec2:eu-west-9:123456789012:instance/id-of-{args.name}",
                "region": "eu-west-9",
                **args.inputs,
                **self.kept,
            }
        if args.typ == "aws:sns/topic:Topic":
            computed = {"arn": f"arn:aws-eu:sns:eu-west-9:123456789012:{args.name}-abcdef0"}
        if args.typ.startswith("aws:iam/"):
            computed = {"name": f"{args.name}-abcdef0"}
        if args.typ == "command:local:Command":
            computed = {"stdout": f"ada@laptop\nmark-of-{args.name}"}
        if args.typ == "aws:ec2/keyPair:KeyPair":
            computed = {"keyName": f"{args.name}-abcdef0"}
        return f"id-of-{args.name}", {**args.inputs, **computed}


class Recorder(mocks.MockMonitor):
    """Keeps each request with its options, which mocks are not shown."""

    def __init__(self, ec2: Ec2) -> None:
        super().__init__(ec2)
        self.asked: dict[str, dict[str, Any]] = {}

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        if request.type != "pulumi:pulumi:Stack":
            urn = f"{request.type}::{request.name}"
            assert urn not in self.asked, f"{urn} is declared twice"
            self.asked[urn] = {**_options(request), "inputs": _plain(request.object)}
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Ran:
    """What one run of the program asked for, by `TYPE::NAME`, its stack outputs, its look-ups."""

    resources: dict[str, dict[str, Any]]
    outputs: dict[str, Any]
    looked_up: list[tuple[str, dict[str, Any]]]


def run(
    values: dict[str, Any],
    secret: frozenset[str] = SECRET,
    image: str | None = None,
    preview: bool = False,
    former: dict[str, Any] | None = None,
    kept: Mapping[str, str] | None = None,
    noted: dict[str, Any] | None = None,
) -> Ran:
    """Run `__main__.py` with these settings, as the engine would.

    `image` is what a look-up finds, empty for nothing; without it, nothing may be looked up.
    `former`: the outputs of the run before. `kept`: what instances have that exist already,
    whatever they are declared to be. `noted`: the resources of the run before.
    """
    recorder = Recorder(Ec2(image, former or {}, kept or {}, noted or {}))
    mocks.set_mocks(
        recorder.mocks, "satellite", "staging", preview, monitor=recorder, organization="acme"
    )
    pulumi_config.set_all_config(
        {f"satellite:{key}": value for key, value in values.items()},
        [f"satellite:{key}" for key in secret & values.keys()],
    )
    outputs: dict[str, Any] = {}

    def program() -> pulumi.Output[None]:
        stack = get_root_resource()
        assert isinstance(stack, Stack)
        stack.outputs = {}  # it is the same in each run of a process
        runpy.run_path(str(CHECKOUT), run_name="__main__")
        exported: pulumi.Output[dict[str, Any]] = pulumi.Output.from_input(stack.outputs)
        return exported.apply(outputs.update)

    pulumi.runtime.test(program)()  # type: ignore[no-untyped-call]
    pulumi_config.set_all_config({}, [])
    assert isinstance(recorder.mocks, Ec2)
    return Ran(dict(sorted(recorder.asked.items())), outputs, recorder.mocks.asked)


def noted(ran: Ran, but: Collection[str] = ()) -> dict[str, Any]:
    """What the engine has noted of a run's resources, `but` those that failed, by their names."""
    return {
        f"urn:pulumi:staging::satellite::{urn}": {
            "type": urn.partition("::")[0],
            "outputs": resource["inputs"],
        }
        for urn, resource in ran.resources.items()
        if urn.partition("::")[2] not in but
    }


def text(ran: Ran) -> str:
    """A run as YAML; what differs with every change of the agent, or is a key, is replaced."""
    data = {"outputs": ran.outputs, "resources": ran.resources}
    shown = yaml.dump(data, Dumper=_Blocks, width=1000, sort_keys=True, allow_unicode=True)
    shown = re.sub(r"-----BEGIN .*?-----END[ A-Z]+-----", "PRIVATE KEY", shown)
    shown = re.sub(r"(satellite-agent-|agent: )'?[0-9a-f]{16}'?", r"\1AGENT", shown)
    return re.sub(r"(SATELLITE_SENT: )'?[0-9a-f]{16}'?", r"\1SENT", shown)


def golden(name: str, ran: Ran) -> tuple[str, str]:
    """What the run is and what it should be; UPDATE_GOLDEN=1 writes the file."""
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text(ran))
    return text(ran), path.read_text()


class _Blocks(yaml.SafeDumper):
    """Texts of several lines are shown as such, and nothing by reference."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Blocks.add_representer(str, _represent)


def _options(request: Any) -> dict[str, Any]:
    options = {
        "depends_on": sorted(urn.split("::", 2)[2].split("$")[-1] for urn in request.dependencies),
        "ignore_changes": sorted(request.ignoreChanges),
        "replace_on_changes": sorted(request.replaceOnChanges),
        "secret_outputs": sorted(request.additionalSecretOutputs),
        "delete_before_replace": request.deleteBeforeReplace,
        "protect": request.protect,
    }
    return {key: value for key, value in options.items() if value}


def _plain(properties: Any) -> Any:
    return _named(json_format.MessageToDict(properties))


def _named(value: Any) -> Any:
    """Secrets and assets by name instead of by signature; whole numbers as such."""
    if isinstance(value, dict) and rpc._special_sig_key in value:
        if value[rpc._special_sig_key] == rpc._special_secret_sig:
            return {"SECRET": _named(value["value"])}
        return {"ASSET": Path(value["path"]).name}
    if isinstance(value, dict):
        return {key: _named(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_named(inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        for key in (LOGIN, keys.short(LOGIN)):
            value = value.replace(key, "LOGIN KEY")
        return value.replace(SEED, "SEED")
    return value
