"""Which values came before: no run that asked Heroku too early brings one back.

A run asks when it begins, and may reach this host an hour later, when Heroku has changed a value
and this host has noticed that by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from . import moments, sha256, storage
from .layout import Layout
from .ledger import Ledger, Target
from .release_manifest import ReleaseManifest


def remember(
    layout: Layout, target: Target, last: Target, names: Sequence[str], config: Mapping[str, str]
) -> None:
    """Note that `target` replaces the values of these names that `last` has."""
    had = Ledger(layout).config(last.release)
    found = storage.read_json(layout.before(last.release), {})
    seen: dict[str, list[str]] = found.get("values", {})
    for name in names:
        seen.setdefault(name, []).append(_digest(name, had[name]))
    now = {_digest(name, value) for name, value in config.items()}  # what came back is not old
    values = {name: sorted({*old} - now) for name, old in seen.items()}
    storage.write_json(layout.before(target.release), {"at": moments.stamp(), "values": values})


def check(
    layout: Layout, manifest: ReleaseManifest, config: Mapping[str, str], last: Target | None
) -> None:
    """ValueError where an inherited value is one that came before, unless Heroku has it now."""
    found = storage.read_json(layout.before(last.release), {}) if last else {}
    values = found.get("values", {})
    older = [n for n in manifest.inherited if _digest(n, config[n]) in values.get(n, ())]
    if older and (advice := _doubt(layout, manifest, {n: config[n] for n in older})):
        raise ValueError(
            f"{', '.join(older)}: this run has what Heroku had before, and the workers what this "
            f"host has found there since ({found['at']}): {advice}"
        )


def _doubt(layout: Layout, manifest: ReleaseManifest, older: Mapping[str, str]) -> str:
    """What to do about these values; empty where Heroku has them again."""
    anew = "run `pulumi up` again, which asks anew"
    told = storage.read_json(layout.heroku)
    if not told:
        return anew
    if manifest.inherited_from != told["app"]:
        return f"they are of {manifest.inherited_from}, and it follows {told['app']}: {anew}"
    from .heroku import Api, HerokuError  # not at every start of the agent

    try:
        theirs = Api(told["app"], told["token"], setting="heroku_host_token").config_vars()
    except HerokuError as problem:
        return f"whether they are there again it cannot tell: {problem}; then run `pulumi up` again"
    return "" if older.items() <= theirs.items() else anew


def _digest(name: str, value: str) -> str:
    return sha256.hexdigest(f"{name}\0{value}".encode("utf-8", "surrogateescape"))
