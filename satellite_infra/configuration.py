"""The stack's configuration as the engine hands it over, read as settings: its only reader."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import pulumi
import yaml
from pulumi.runtime import config

from satellite_infra import written
from satellite_infra.naming import NAMESPACE, OWN_CHECK
from satellite_infra.problems import line
from satellite_infra.settings import Settings, validated

UNREAD = (OSError, written.UnreadError)
"""What is said of a file that Pulumi has read all the same."""


def load() -> Settings:
    """This stack's settings; RunError lists every problem, before any resource is touched."""
    stack, secret = _read()
    settings, found = validated(stack, secret, pulumi.get_stack())
    found = [*_elsewhere(), *sorted([*_misread(stack, secret), *found])]
    if found:
        many = f"{len(found)} problems" if len(found) > 1 else "1 problem"
        raise pulumi.RunError("\n  ".join([f"{many} in this stack's settings:", *found]))
    return settings


def _read() -> tuple[dict[str, Any], frozenset[str]]:
    """The stack's values of our namespace as they are, and which of them are secret."""
    prefix = NAMESPACE + ":"
    every = _every().items()
    short = {key.removeprefix(prefix): v for key, v in every if key.startswith(prefix)}
    return short, frozenset(key for key in short if config.is_config_secret(prefix + key))


def _every() -> dict[str, Any]:
    """The stack's values of all namespaces, by their full names."""
    return {**config.get_config_env(), **config.CONFIG.get()}


def _elsewhere() -> Iterator[str]:
    """What is of a namespace that is nearly ours, or the project's, and would be heeded by nobody.

    A project of another name gives what stands in Pulumi.yaml there: our defaults, which hold
    anyway.
    """
    project = pulumi.get_project()
    for key, value in sorted(_every().items()):
        namespace, _, name = key.partition(":")
        if namespace == NAMESPACE or name not in Settings.model_fields:
            continue
        if namespace == project and value == _text(Settings.model_fields[name].default):
            continue
        where = f" ({name} in Pulumi.yaml is it, too)" if namespace == project else ""
        if where or get_close_matches(namespace.lower(), [NAMESPACE], cutoff=0.8):
            yield f"{key}: unknown key, did you mean {NAMESPACE}:{name}?{where}"


def _text(default: Any) -> str:
    """As the engine hands it over."""
    return default if isinstance(default, str) else json.dumps(default, default=list)


def _misread(values: Mapping[str, Any], secret: frozenset[str]) -> Iterator[str]:
    """What has another value than the stack's file says, or the project's.

    Of a stack's file that is elsewhere the days.
    """
    if os.environ.get(OWN_CHECK):
        return
    file, project = written.file_of(pulumi.get_stack()), written.project_file()
    own: Mapping[str, yaml.Node] = {}
    try:
        own = written.nodes(file) if file else own
        yield from written.misread(own)
    except UNREAD:
        file = None
    with contextlib.suppress(*UNREAD):
        for told in written.misread_of_project(project, own) if project else ():
            yield f"{told} (in {written.PROJECT})"
    for key in () if file else sorted(values.keys() - secret):
        if day := re.search(written.DAY, str(values[key])):
            yield line([key], written.RULE, day[0])
