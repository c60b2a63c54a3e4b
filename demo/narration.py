"""What is worth showing of Pulumi's plain output: one line in, one line or nothing out."""

from __future__ import annotations

import re
from itertools import dropwhile, takewhile

PLANNED = ("create", "update", "replace", "delete")
DONE = ("created", "updated", "replaced", "deleted")
AT_WORK = ("creating", "updating", "replacing", "deleting", *DONE)

RESOURCE = re.compile(
    r" (?P<sign>[+~-]{1,2}) +(?P<type>\S+:\S+:\S+) (?P<name>\S+) (?P<verb>[a-z]+)"
    r"(?: \((?P<seconds>[0-9.]+)s\)(?: \[diff: [^\]]*\])?(?:;? (?P<said>.*))?"
    r"|(?: \[diff: .*\])? *)"
)
LIVE = re.compile(r".* is (?P<what>live, [0-9]+ workers?)")
COUNT = re.compile(r" {4}(?:[+~-] ?|[+~-]{2} ?)?[0-9]+ (?:to )?[a-z]+(?:\. [0-9]+ unchanged)?")
BLOCK = re.compile(r" +(?P<sign>[+~-]{1,2}) ?(?P<type>\S+:\S+:\S+): \((?P<verb>[a-z]+)\)")
URN = re.compile(r" +\[urn=.*::(?P<name>[^:\]]+)\]")
TEXT = re.compile(r"\s+(?P<line>[+-] \S.*)")


def planned(line: str) -> str:
    """For a preview: each resource that would change, and the counts."""
    return _resource(line, PLANNED) or _counted(line)


def done(line: str) -> str:
    """For an `up` or `destroy`: each resource that was changed, with its time, and the counts."""
    return _resource(line, DONE) or _counted(line)


def at_work(line: str) -> str:
    """What the engine is at, or has just done, in two words."""
    found = RESOURCE.fullmatch(line)
    return f"{found['name']} {found['verb']}" if found and found["verb"] in AT_WORK else ""


def diff(output: str) -> list[str]:
    """Of `preview --diff`: each resource that would change, with the changed lines of its text."""
    told: list[str] = []
    block = None
    for line in output.splitlines():
        if begun := BLOCK.fullmatch(line):
            block = begun
        elif block and (urn := URN.fullmatch(line)):
            told.append(f"{block['sign']:2} {urn['name']} ({block['type']}): {block['verb']}")
        elif block and block["verb"] == "update" and (text := TEXT.fullmatch(line)):
            told.append(f"     {text['line']}")
        elif not line.startswith("    "):
            block = None
    return told


def errors(output: str) -> list[str]:
    """The engine's diagnostics, without what follows them; empty where there are none."""
    lines = dropwhile(lambda line: line != "Diagnostics:", output.splitlines())
    said = takewhile(lambda line: line not in ("Outputs:", "Resources:"), lines)
    return [line for line in said if line.strip()]


def _resource(line: str, verbs: tuple[str, ...]) -> str:
    found = RESOURCE.fullmatch(line)
    if not found or found["verb"] not in verbs:
        return ""
    spent = found["verb"] in DONE and float(found["seconds"] or 0) >= 0.1
    seconds = f" in {found['seconds']} s" if spent else ""
    live = LIVE.fullmatch(found["said"] or "")
    what = f": {live['what']}" if live else ""
    return f"{found['sign']:2} {found['name']} ({found['type']}) {found['verb']}{seconds}{what}"


def _counted(line: str) -> str:
    return line.strip() if COUNT.fullmatch(line) else ""
