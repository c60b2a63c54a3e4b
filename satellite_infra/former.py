"""What the stack was last about: what would go on working unseen must not be turned away from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pulumi

from satellite_infra import output
from satellite_infra.key_text import fingerprint
from satellite_infra.problems import line
from satellite_infra.settings import Settings

ASK = "pulumi:pulumi:readStackOutputs"
"""The engine's own function; a stack may ask for its own outputs, too."""


def check_former(settings: Settings) -> None:
    """RunError when workers of before would be left behind: no drain would ever go to them."""
    former = _outputs()
    if "manifest" not in former:  # never up
        return
    if found := [*_app(settings, former), *_machines(settings, former)]:
        raise pulumi.RunError(
            "\n  ".join(["these settings leave workers, or their jobs, behind:", *found])
        )


def _outputs() -> Mapping[str, Any]:
    """Those of the last update; none of mocks, nor of a backend that has no projects.

    They say what must not be, and nothing of what shall be: that is the settings' alone.
    """
    names = (pulumi.get_organization() or "", pulumi.get_project(), pulumi.get_stack())
    try:
        found = pulumi.runtime.invoke(ASK, {"name": "/".join(names)}).value
    except Exception:  # noqa: BLE001 - the SDK has no narrower one, and it is a guard alone
        return {}
    return (found or {}).get("outputs") or {}


def _app(settings: Settings, former: Mapping[str, Any]) -> Iterator[str]:
    """A host's drain, its units and its directories are those of one app."""
    app = output.read(former["manifest"])["app"]
    if settings.app != app:
        rule = (
            f"should stay {app}, whose workers would go on for ever: another app has a stack of "
            "its own; or end this one first: pulumi destroy"
        )
        yield line(["app"], rule, settings.app)


def _machines(settings: Settings, former: Mapping[str, Any]) -> Iterator[str]:
    """One that has moved keeps its key, and one with new keys its place; else it is another one."""
    before = {host["name"]: host for host in former["hosts"]}
    for name, host in settings.existing().items():
        was, machine = before.get(name), host.machine or 1
        if not was or was["lost"]:  # nobody works there
            continue
        same, moved = was["machine"] == str(machine), was["address"] != host.address
        rekeyed = was["host_key"] != fingerprint(str(host.host_key))
        # outputs of an older version have no port
        stays = not moved and was.get("port") == (host.port or 22)
        if same and moved and rekeyed and not host.lost:
            rule = (
                "should be raised: another address and another host_key are another machine's, "
                f"and workers of the one at {was['address']} would go on for ever (where there "
                "never were any: declare it lost first)"
            )
            yield line(["hosts", name, "machine"], rule, machine)
        if not same and (host.lost or (stays and rekeyed)):
            rule = (
                f"should stay {was['machine']} until an update has declared that machine lost: it "
                "cannot be drained any more, and what it held is found by this number"
            )
            yield line(["hosts", name, "machine"], rule, machine)
