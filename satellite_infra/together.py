"""One resource that stands for many in the dependencies of others."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
from pulumi_command import local


def together(name: str, resources: Sequence[pulumi.Resource]) -> list[pulumi.Resource]:
    """What to wait for in place of all these: themselves where there is one at most.

    Without it each host of a batch would name each of the batch before, and the state would grow
    with their product. It runs nothing; an empty component would not be waited for.
    """
    if len(resources) < 2:
        return list(resources)
    return [local.Command(name, opts=pulumi.ResourceOptions(depends_on=list(resources)))]
