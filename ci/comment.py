"""What a preview means, as the Markdown of a pull request's comment: no value of any config var.

The preview is what `pulumi preview --json` prints. Hosts that change alike are said once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, TypeVar

from ci import manifests
from ci.blocks import Block, joined
from ci.manifests import Change
from satellite_infra import naming
from satellite_infra.key_text import fingerprint
from satellite_infra.reach import SENT

Step = Mapping[str, Any]
T = TypeVar("T")

LOCAL = "command:local:Command"
COMMANDS = (LOCAL, naming.REMOTE, "command:remote:CopyToRemote")
STACK = "pulumi:pulumi:Stack"
REPLACED = frozenset({"create-replacement", "delete-replaced", "replace"})
MACHINE = "machine"
ROLES = (MACHINE, naming.BOOTSTRAP, naming.RELEASE, naming.DRAIN, naming.JOBS)
"""What is told of a host, in this order; that it is asked and gets the agent follows from it."""
HOST_KEYS = ("SATELLITE_HOST_KEY", "SATELLITE_BASTION_HOST_KEY")
WAY = {
    "SATELLITE_ADDRESS": "address",
    "SATELLITE_PORT": "port",
    "SATELLITE_USER": "user",
    "SATELLITE_HOST_KEY": "host_key",
    "SATELLITE_BASTION": "bastion.address",
    "SATELLITE_BASTION_PORT": "bastion.port",
    "SATELLITE_BASTION_USER": "bastion.user",
    "SATELLITE_BASTION_HOST_KEY": "bastion.host_key",
}
"""Variable of a host's `reach` -> the setting: all that says to whom what is secret is sent."""
ASKED = {"SATELLITE_REACH_SECONDS": "reach_seconds", "SATELLITE_OPENED_TO": "ssh_cidrs"}
"""The same of how a host is asked: no more follows from it."""
FATES = {
    "changes": ("host changes", "hosts change", ""),
    "asked": (
        "host is only reached again",
        "hosts are only reached again",
        " (what it runs stays; only a release that did not come to its end before is run again)",
    ),
    "added": ("host is added", "hosts are added", ""),
    "back": ("host is no longer lost", "hosts are no longer lost", ""),
    "lost": (
        "host is declared lost",
        "hosts are declared lost",
        " (NOT drained; what jobs it had are given back)",
    ),
    "forsaken": (
        "host is declared lost",
        "hosts are declared lost",
        " (NOT drained; no host is left that gives back what jobs it had)",
    ),
    "unused": (
        "host is added as lost",
        "hosts are added as lost",
        " (its machine is made, and nothing runs there)",
    ),
    "removed": ("host is removed", "hosts are removed", " (drained first)"),
    "dropped": ("host is removed without a drain", "hosts are removed without a drain", ""),
}
"""What becomes of a host as such: of one and of many, and what that means, in this order."""
BEGIN = ("added", "back")
"""Of these, the hosts that run nothing yet."""
LATER = {"04da6b54-80e4-46f7-96ec-b56ff0331ba9": "(known when it is made)"}
NOTHING = "nothing"
"""Instead of the commits that hosts run, before the first deploy that one has come through."""
APPROVAL = re.compile(
    r"<!-- satellite-previewed: ([0-9a-f]{40})"
    r"(?:; revision ([0-9a-f]{40}) after ([0-9a-f]{40}(?:,[0-9a-f]{40})*|nothing))? -->"
)
LAST_WORDS = 100  # lines of an engine that may have ended in the middle of its document
WARNED = 100  # lines of what the program warns of, such as one for each host
SOME = 30  # things that one line lists


@dataclass(frozen=True)
class Seen:
    """What a preview was about: a commit of this repository, and of the app one after another.

    Before, some hosts may have run another one than others: the commits, with a comma between.
    """

    commit: str
    revision: str = ""
    before: str = NOTHING


@dataclass(frozen=True)
class Resource:
    """One resource that changes: its type, name, what becomes of it, inputs before and after."""

    kind: str
    name: str
    op: str
    old: Mapping[str, Any] = field(repr=False)
    new: Mapping[str, Any] = field(repr=False)

    def host_and_role(self) -> tuple[str, str]:
        """Whose it is, and what it is there; no host where it is nobody's own."""
        if self.kind == naming.INSTANCE:
            return self.name, MACHINE
        return naming.host_and_role(self.name) if self.kind in COMMANDS else ("", "")

    def only_waits(self) -> bool:
        """A command that runs nothing: it stands for many in the dependencies of others."""
        return self.kind == LOCAL and not (self.new or self.old).get("create")


def comment(
    stack: str,
    preview: Mapping[str, Any],
    trouble: str = "",
    commit: str = "",
    violations: Sequence[str] = (),
    advice: Sequence[str] = (),
) -> Block:
    """The comment; `trouble`: what the engine said outside of its JSON when it failed, or that it
    did. Where there is any the preview failed, and approves nothing. `advice`: broken rules that
    stop nothing.
    """
    steps = preview.get("steps", [])
    found = [resource for resource in resources(steps) if not resource.only_waits()]
    hosts: dict[str, dict[str, Resource]] = {}
    rest = []
    for resource in found:
        host, role = resource.host_and_role()
        if host:
            hosts.setdefault(host, {})[role] = resource
        else:
            rest.append(resource)
    # jobs alone are those of a host that was lost before, and to which nothing happens
    rest += [hosts.pop(name)[naming.JOBS] for name in [*hosts] if {*hosts[name]} == {naming.JOBS}]
    fates = by_fate(hosts, given_back(steps))
    # a host that comes or goes is compared with nothing, which is no change of what others run
    changes = [manifests.change(*_texts(hosts[name])) for name in fates.get("changes", ())]
    stay = [*fates.get("changes", ()), *fates.get("back", ())]
    replaced = sum(_is_replaced(hosts[name]) for name in stay)
    begun = _begun(hosts, fates)
    failed = list(errors(preview, violations, trouble))
    said = "the preview failed" if failed else headline(fates, replaced, changes, begun, bool(rest))
    seen = "" if failed or not commit else approval(Seen(commit, *deployed(steps)))
    return joined(
        [
            Block((marker(stack), *([seen] if seen else []), f"### {stack}: {said}")),
            *failed,
            warnings(preview, advice),
            Block(tuple(summary(fates, changes, begun, found, preview.get("changeSummary") or {}))),
            *ways(hosts),
            *groups(hosts),
            *beside(rest),
            Block((f"<sub>Preview of commit `{commit[:12]}`.</sub>",) if commit else ()),
        ]
    )


def marker(stack: str) -> str:
    """The first line, by which the comment is found and updated."""
    return f"<!-- satellite-preview: {stack} -->"


def approval(seen: Seen) -> str:
    """The line by which a deploy knows that this commit had a preview, and one that succeeded."""
    after = f"; revision {seen.revision} after {seen.before}" if seen.revision else ""
    return f"<!-- satellite-previewed: {seen.commit}{after} -->"


def approved(line: str) -> Seen | None:
    """What such a line says; None where it is another one."""
    match = APPROVAL.fullmatch(line)
    return Seen(match[1], match[2] or "", match[3] or NOTHING) if match else None


def deployed(steps: Sequence[Step]) -> tuple[str, str]:
    """The app's commit that hosts would run, empty where none would; and those that they run."""
    before, after = (
        released({"urn": step["urn"], **(step.get(state) or {})} for step in steps)
        for state in ("oldState", "newState")
    )
    return after[0] if len(after) == 1 else "", ",".join(before) or NOTHING


def released(resources: Iterable[Mapping[str, Any]]) -> list[str]:
    """The app's commits in the releases among resources of a state, which has what succeeded."""
    found = [
        manifests.pairs(_text(resource.get("inputs") or {})).get("revision", "")
        for resource in resources
        if naming.host_and_role(resource["urn"].split("::")[-1])[1] == naming.RELEASE
        and not resource.get("delete")  # of a machine before
    ]
    return sorted({*found} - {""})


def resources(steps: Iterable[Step]) -> Iterator[Resource]:
    """Each resource that changes, once: a replacement is several steps of the engine."""
    by_urn: dict[str, list[Step]] = {}
    for step in steps:
        kind = step["urn"].split("::")[2].split("$")[-1]
        if step["op"] not in ("same", "refresh", "read") and kind != STACK:
            by_urn.setdefault(step["urn"], []).append(step)
    for urn, several in by_urn.items():
        ops = {step["op"] for step in several}
        yield Resource(
            kind=urn.split("::")[2].split("$")[-1],
            name=urn.split("::")[-1],
            op="replace" if ops & REPLACED else several[0]["op"],
            old=_inputs(several, "oldState"),
            new=_inputs(several, "newState"),
        )


def given_back(steps: Iterable[Step]) -> set[str]:
    """The hosts whose jobs are given back, or were by an update that then failed."""
    ways = ((*naming.host_and_role(step["urn"].split("::")[-1]), step["op"]) for step in steps)
    return {host for host, role, op in ways if role == naming.JOBS and op != "delete"}


def by_fate(
    hosts: Mapping[str, Mapping[str, Resource]], given: Collection[str]
) -> dict[str, list[str]]:
    """The names of the hosts by what becomes of them, in the order of `FATES`; `given`: those whose
    jobs are given back.
    """
    found: dict[str, list[str]] = {fate: [] for fate in FATES}
    for name, roles in hosts.items():
        found[_fate(roles, "lost" if name in given else "forsaken")].append(name)
    return {fate: names for fate, names in found.items() if names}


def _fate(roles: Mapping[str, Resource], lost: str) -> str:
    """By its release and its drain: a host that is declared `lost` keeps one that does nothing."""
    drain, release = roles.get(naming.DRAIN), roles.get(naming.RELEASE)
    drained = drain is not None and bool(drain.old.get("delete"))
    its = [resource for role, resource in roles.items() if role != naming.JOBS]
    if all(resource.op == "delete" for resource in its):
        if drain or MACHINE in roles:
            return "removed" if drained else "dropped"
        return lost  # the update that declared it that did not come to its end
    if drain and not drain.new.get("delete") and (drained or drain.op == "create"):
        # an instance that is lost from the start has had nothing; another machine may have
        made = MACHINE in roles and roles[MACHINE].op == "create"
        return "unused" if drain.op == "create" and made else lost
    if release and release.op == "create":
        return "added" if drain is None or drain.op == "create" else "back"
    return "asked" if _only_asked(roles) else "changes"


def _only_asked(roles: Mapping[str, Resource]) -> bool:
    """Whether the host is sent what it has, on the same way; a preview lists its release all the
    same, which waits for what the visit says: the same as before, where this is all.
    """
    reach, release = roles.get(naming.REACH), roles.get(naming.RELEASE)
    if not reach or reach.op != "update" or not {*roles} <= {naming.REACH, naming.RELEASE}:
        return False
    if release and (release.op != "update" or _text(release.old) != _text(release.new)):
        return False
    old, new = _environment(reach)
    return {key for key in {*old, *new} if old.get(key) != new.get(key)} <= {*ASKED}


def _is_replaced(roles: Mapping[str, Resource]) -> bool:
    """Whether a host that stays is another machine, which may be none of ours any more."""
    drain, machine = roles.get(naming.DRAIN), roles.get(MACHINE)
    return bool(machine and machine.op != "update") or bool(drain and drain.op == "replace")


def headline(
    fates: Mapping[str, Sequence[str]],
    replaced: int,
    changes: Sequence[Change],
    begun: Sequence[str],
    other: bool,
) -> str:
    """What happens, to how many, and from which commit to which; `begun`: those of new hosts."""
    if not fates and not other:
        return "nothing changes"
    parts = [_fated(fate, names) for fate, names in fates.items()] or ["no host changes"]
    if replaced:
        parts.append(_counted(replaced, "machine is replaced", "machines are replaced"))
    moves = _unique(c.revision for c in changes if c.revision)
    parts += [f"{old[:7] or 'nothing'} → {new[:7] or 'nothing'}" for old, new in moves[:SOME]]
    reached = {new for _, new in moves}
    parts += [f"at {revision[:7]}" for revision in begun if revision not in reached]
    return ", ".join(parts)


def summary(
    fates: Mapping[str, Sequence[str]],
    changes: Sequence[Change],
    begun: Sequence[str],
    found: Sequence[Resource],
    counts: Mapping[str, int],
) -> Iterator[str]:
    """Which hosts come and go, what changes on any that stays, each thing once, and how many
    resources do.
    """
    for fate, names in fates.items():
        if fate != "changes":
            at = f", at {_some(map(_code, begun))}" if fate in BEGIN and begun else ""
            yield f"- **{_fated(fate, names)}**{FATES[fate][2]}: {ranges(names)}{at}"
    if moves := _unique(c.revision for c in changes if c.revision):
        yield f"- **revision** {_some(f'{_code(old)} → {_code(new)}' for old, new in moves)}"
    if formation := _unique(line for c in changes for line in c.formation):
        yield f"- **formation, on each host** {_some(formation)}"
    if config := _fates([c.config for c in changes]):
        seed = "; that all changed may also be another host_key_seed, by which they are compared"
        anew = seed if any(c.anew for c in changes) else ""
        yield f"- **config vars** {config} (values are never shown{anew})"
    if files := _fates([c.config_files for c in changes]):
        yield f"- **config files** {files}"
    stays = {(name, naming.RELEASE) for name in fates.get("asked", ())}
    asks = sum(r.host_and_role()[1] == naming.REACH and r.op == "update" for r in found)
    aside = f"{asks} of them only ask whether a host answers" if asks else ""
    if waits := sum(r.host_and_role() in stays for r in found):
        aside += f", {waits} then release only what did not come to its end before"
    ops = [op for op in sorted(counts.keys() - {"same"}) if counts[op]]
    asides = {"update": f" ({aside})"} if aside else {}
    told = [f"{counts[op]} to {op}{asides.get(op, '')}" for op in ops]
    if told:
        told += [f"{counts['same']} unchanged"] if counts.get("same") else []
        yield f"- **resources** {', '.join(told)}"


def _fates(changes: Sequence[Mapping[str, tuple[str, ...]]]) -> str:
    return "; ".join(
        f"{verb} {_some(map(_code, names))}"
        for verb in ("added", "changed", "removed")
        if (names := _unique(name for change in changes for name in change.get(verb, ())))
    )


def ways(hosts: Mapping[str, Mapping[str, Resource]]) -> Iterator[Block]:
    """Which machines are logged in to from now on, where that is not as before."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for host, roles in hosts.items():
        if lines := tuple(_way_lines(roles)):
            alike.setdefault(lines, []).append(host)
    told = [line for way, names in alike.items() for line in (f"@@ {ranges(names)} @@", *way)]
    if told:
        yield Block.details("where what is secret is sent", told, opened=True)


def groups(hosts: Mapping[str, Mapping[str, Resource]]) -> Iterator[Block]:
    """One block for all hosts that change alike, the largest group first."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for host, roles in hosts.items():
        alike.setdefault(tuple(_host_lines(host, roles)), []).append(host)
    ordered = sorted(alike.items(), key=lambda item: -len(item[1]))
    for number, (lines, names) in enumerate(ordered):
        many = f"{len(names)} hosts" if len(names) > 1 else "1 host"
        each = [
            f"  {name}" for name in _ranges(names)
        ]  # all, where the title has not room for them
        lines = (*(each if len(each) > SOME else ()), *lines)
        yield Block.details(f"{many}: {ranges(names)}", lines, opened=number == 0)


def beside(rest: Sequence[Resource]) -> Iterator[Block]:
    """What changes that is no host's own."""
    lines = [line for resource in rest for line in _resource_lines(resource)]
    if lines:
        yield Block.details("beside the hosts", lines, opened=True)


def errors(preview: Mapping[str, Any], violations: Sequence[str], trouble: str) -> Iterator[Block]:
    """What went wrong, as the engine tells it; its own last words only where it told nothing."""
    if violations:
        yield Block.fenced(sorted(violations))
    told = [one for one in preview.get("diagnostics") or [] if one.get("severity") == "error"]
    if violations:  # after which it only says that the preview failed
        told = [one for one in told if text_lines(one) != ["error: preview failed"]]
    for one in told:
        name = str(one.get("urn", "")).split("::")[-1]
        first, *more = text_lines(one)
        yield Block.fenced([f"{name}: {first}" if name else first, *more])
    if trouble and not told and not violations:
        lines = trouble.strip().splitlines()
        before = len(lines) - LAST_WORDS
        left_out = [f"... {before} lines before"] if before > 0 else []
        yield Block.fenced([*left_out, *lines[-LAST_WORDS:]])


def warnings(preview: Mapping[str, Any], advice: Sequence[str]) -> Block:
    """What the program warns of, which is no change: a machine that is not as declared; and what
    policies do.
    """
    told = [one for one in preview.get("diagnostics") or [] if one.get("severity") == "warning"]
    lines = [line for one in told for line in text_lines(one)]
    if (more := len(lines) - WARNED) > 0:  # what is not taken up by them is what changes
        lines[WARNED:] = [f"... and {more} more lines, which `pulumi preview` says, too"]
    lines += [f"warning: {one}" for one in _each_once(sorted({*advice}))]
    return Block.fenced(lines) if lines else Block()


def _each_once(advice: Iterable[str]) -> Iterator[str]:
    """What is said alike of several resources as one line, or it would take all the room; each of
    it begins with its policy and the resource's name.
    """
    alike: dict[tuple[str, str], list[str]] = {}
    for one in advice:
        policy, _, said = one.partition(": ")
        name, _, what = said.partition(" ")
        alike.setdefault((policy, what), []).append(name)
    for (policy, what), names in alike.items():
        # all of them: nothing else in the comment says which they are
        yield f"{policy}: {', '.join(_ranges(names))}{':' if len(names) > 1 else ''} {what}"


def text_lines(told: Mapping[str, Any]) -> list[str]:
    """The text of a diagnostic, or of an event: at least one line, also where there is none."""
    return str(told.get("message", "")).strip().splitlines() or ["(no message)"]


def ranges(names: Sequence[str]) -> str:
    """`a-1 to a-50, b-7`: neighbours by number are said as one."""
    return _some(_ranges(names))


def _ranges(names: Sequence[str]) -> list[str]:
    numbered = sorted((_numbered(name) for name in names), key=lambda pair: (pair[0], pair[1]))
    found = []
    for (stem, _), run in groupby(enumerate(numbered), key=lambda p: (p[1][0], p[1][1] - p[0])):
        numbers = [number for _, (_, number) in run]
        if numbers[0] < 0:
            found += [stem] * len(numbers)
        elif len(numbers) > 2:
            found.append(f"{stem}{numbers[0]} to {stem}{numbers[-1]}")
        else:
            found += [f"{stem}{number}" for number in numbers]
    return found


def _numbered(name: str) -> tuple[str, int]:
    """`worker-7` as its stem and number; without one: -1."""
    match = re.fullmatch(r"(.*?)(0|[1-9]\d*)", name)
    return (match[1], int(match[2])) if match else (name, -1)


def _host_lines(host: str, roles: Mapping[str, Resource]) -> Iterator[str]:
    reach = roles.get(naming.REACH)
    asked = [*_differs(reach, ASKED)] if reach and reach.op == "update" else []
    told = [] if _only_asked(roles) else [(role, roles[role]) for role in ROLES if role in roles]
    if asked or not told:
        yield "@@ reached again @@"
        yield from asked
    for role, resource in told:
        yield f"@@ {role}: {resource.op} @@"
        if role == MACHINE:
            yield from _inputs_diff(resource, own=host)
        elif role in (naming.BOOTSTRAP, naming.RELEASE) and resource.op != "delete":
            why = _why(role, roles)
            yield from manifests.diff(_text(resource.old), _text(resource.new), why)


def _why(role: str, roles: Mapping[str, Resource]) -> str:
    """Why this is run where its manifest is the same as before."""
    if role == naming.RELEASE and _follows(roles):
        return "nothing of its own changes: it follows what is prepared"
    reach = roles.get(naming.REACH)
    if reach is None:  # all that the host is to be sent was to be sent at the visit before
        return "nothing of its own changes: it did not come to its end before, and is run again"
    old, new = _environment(reach)
    failed = ", or what was sent last did not come to its end"
    return (
        "only what is secret, which machine it is, or how it is reached"
        f"{failed if old.get(SENT) != new.get(SENT) else ''}"
    )


def _follows(roles: Mapping[str, Resource]) -> bool:
    """Whether the host is released to as it is prepared anew, and for no other reason."""
    both = [roles.get(role) for role in (naming.BOOTSTRAP, naming.RELEASE)]
    changed = [_text(r.old) != _text(r.new) for r in both if r and r.op == "update"]
    return changed == [True, False]


def _way_lines(roles: Mapping[str, Resource]) -> Iterator[str]:
    """What differs of the way to a host; an instance's own new address is nobody's choice, but
    that it is one by now may be.
    """
    reach, machine = roles.get(naming.REACH), roles.get(MACHINE)
    if not reach or reach.op == "delete":
        return
    made = bool(machine and machine.op == "create")
    if not (made and reach.op == "create"):
        yield from _differs(reach, WAY, later=made)


def _differs(reach: Resource, settings: Mapping[str, str], later: bool = False) -> Iterator[str]:
    """What differs of these variables; what is only known `later` where that is asked for."""
    old, new = _environment(reach)
    for variable, key in settings.items():
        before, after = old.get(variable), new.get(variable)
        if before != after and (later or after not in LATER):
            told = [_known_by(variable, value) for value in (before, after)]
            yield from manifests.pair(key, *told)


def _environment(reach: Resource) -> tuple[Mapping[str, str], Mapping[str, str]]:
    return reach.old.get("environment", {}), reach.new.get("environment", {})


def _known_by(variable: str, value: str | None) -> str | None:
    """A host key by its fingerprint, anything else as it is."""
    if value is None or variable not in HOST_KEYS:
        return LATER.get(value or "", value)
    return fingerprint(value)


def _resource_lines(resource: Resource) -> Iterator[str]:
    sign = {"create": "+", "delete": "-"}.get(resource.op, "@@")
    yield f"{sign} {resource.kind.split(':')[-1]} {resource.name}: {resource.op}"
    if resource.op not in ("create", "delete"):
        yield from _inputs_diff(resource)


def _inputs_diff(resource: Resource, own: str = "") -> Iterator[str]:
    """The inputs that differ, but for an `own` name; the engine shows secrets as [secret]."""
    old, new = _flat(resource.old), _flat(resource.new)
    if resource.op == "delete":
        return
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if before != after and not (own and own in (before, after)):
            yield from manifests.pair(key, before, after)


def _flat(inputs: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in inputs.items():
        if key.startswith("__"):  # the engine's own
            continue
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            values = value if isinstance(value, list) else [value]
            found[prefix + key] = ", ".join(_shown(one) for one in values)
    return found


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return LATER.get(text, text)


def _begun(
    hosts: Mapping[str, Mapping[str, Resource]], fates: Mapping[str, Sequence[str]]
) -> list[str]:
    """The revisions that hosts begin with."""
    texts = [_texts(hosts[name])[1] for fate in BEGIN for name in fates.get(fate, ())]
    return _unique(filter(None, (manifests.pairs(text).get("revision") for text in texts)))


def _texts(roles: Mapping[str, Resource]) -> tuple[str, str]:
    """The host's release, before and after, as the command's text."""
    release = roles.get(naming.RELEASE)
    return (_text(release.old), _text(release.new)) if release else ("", "")


def _text(inputs: Mapping[str, Any]) -> str:
    return str(inputs.get("create") or "")


def _inputs(steps: Sequence[Step], state: str) -> Mapping[str, Any]:
    for step in steps:
        if inputs := (step.get(state) or {}).get("inputs"):
            return dict(inputs)
    return {}


def _code(text: str) -> str:
    return f"`{text}`" if text else "nothing"


def _some(values: Iterable[str]) -> str:
    """A list that stays a line, however many there are."""
    all_ = list(values)
    more = [f"and {len(all_) - SOME} more"] if len(all_) > SOME else []
    return ", ".join([*all_[:SOME], *more])


def _fated(fate: str, names: Sequence[str]) -> str:
    one, many, _ = FATES[fate]
    return _counted(len(names), one, many)


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {many if number > 1 else one}"


def _unique(values: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(values))
