"""A Pulumi program that declares what resources.json lists; see tests/standins/project.py."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pulumi

made: dict[str, Any] = {}


def value(spec: Any) -> Any:
    """The value that the test meant: references, secrets and files are one-key objects."""
    match spec:
        case {"$ref": [name, *attributes]}:
            found = made[name]
            for attribute in attributes:
                found = getattr(found, attribute)
            return found
        case {"$secret": inner}:
            return pulumi.Output.secret(value(inner))
        case {"$file": path}:
            return pulumi.FileAsset(path)
        case {"$text": text}:
            return pulumi.StringAsset(text)
        case {"$assets": members}:
            return pulumi.AssetArchive(value(members))
        case {"$folder": path}:
            return pulumi.FileArchive(path)
        case dict():
            return {key: value(item) for key, item in spec.items()}
        case list():
            return [value(item) for item in spec]
        case _:
            return spec


def declare(name: str, kind: str, arguments: dict[str, Any], options: dict[str, Any]) -> Any:
    """Make the resource, or call the function, that `kind` names: `pulumi_aws.ec2.KeyPair`."""
    module, _, attribute = kind.rpartition(".")
    target = getattr(importlib.import_module(module), attribute)
    if not isinstance(target, type):
        return target(**value(arguments))
    chosen = pulumi.ResourceOptions(**value(options)) if options else None
    return target(name, opts=chosen, **value(arguments))


listed = json.loads(Path("resources.json").read_text())
for item in listed["resources"]:
    made[item["name"]] = declare(item["name"], item["kind"], item["arguments"], item["options"])
for output, spec in listed["outputs"].items():
    pulumi.export(output, value(spec))
