"""What differs between two manifests of a host, taken from the texts of its commands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from policy.rules import KEY_MATERIAL
from satellite_infra.agent import flat

EVERYWHERE = frozenset({"manifest", "host"})
"""What says nothing about a change: the format, and the host's own name."""
CONFIG = "config."
DIGESTS = re.compile(
    rf"{re.escape(CONFIG)}.+|config_files\..+\.template|agent|deploy_key|webhook|monit\.password"
    r"|rotation\.token"
)
"""The keys whose values say nothing to people."""
LATIN_END = "\u0180"
"""The first character behind ASCII and the accented letters of Latin."""
CONFIG_FILE_KEYS = ("template", "mode", "owner")
CONFIG_FILE = re.compile(rf"config_files\.(.+)\.({'|'.join(CONFIG_FILE_KEYS)})")


@dataclass(frozen=True)
class Change:
    """What a host will run instead: revisions, lines about the formation, and by what becomes of
    them the names of config vars and the paths of config files.
    """

    revision: tuple[str, str] | None = None
    formation: tuple[str, ...] = ()
    config: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    anew: bool = False
    """Whether no digest of several is as before: by another seed, if not by chance."""
    config_files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def pairs(text: str) -> dict[str, str]:
    """The manifest within a command's text; empty where there is none, or it is not known yet."""
    match = re.search(r"<<'END_OF_MANIFEST'\n(.*?\n)END_OF_MANIFEST\n", text, re.DOTALL)
    return flat.load(match[1]) if match else {}


def change(old_text: str, new_text: str) -> Change:
    """What the release of a host becomes."""
    old, new = pairs(old_text), pairs(new_text)
    before, after = old.get("revision", ""), new.get("revision", "")
    return Change(
        revision=(before, after) if before != after else None,
        formation=tuple(_formation(old, new)),
        config=_fates(_config_vars(old), _config_vars(new)),
        anew=_anew(old, new),
        config_files=_fates(_config_files(old), _config_files(new)),
    )


def diff(old_text: str, new_text: str, why: str) -> Iterator[str]:
    """Lines of a diff: what only one manifest has, in the order of the new one; `why` something
    changes all the same where that is nothing.
    """
    old, new = pairs(old_text), pairs(new_text)
    keys = [*new, *(key for key in old if key not in new)]
    changed = [key for key in keys if key not in EVERYWHERE and old.get(key) != new.get(key)]
    for key in changed:
        yield from pair(key, old.get(key), new.get(key))
    if not changed and old and new:
        yield f"  {why}"


def pair(key: str, old: str | None, new: str | None) -> Iterator[str]:
    """The lines of one key; of a digest only that it differs, as of what the policy pack takes for
    a secret that is in the wrong place.
    """
    if DIGESTS.fullmatch(key) or any(map(_is_secret, (old, new))):
        sign = "+" if old is None else "-" if new is None else "!"
        yield f"{sign} {key}"
        return
    for sign, value in (("-", old), ("+", new)):
        if value is not None:
            yield f"{sign} {key}: {_shown(value)}".rstrip()


def _is_secret(value: str | None) -> bool:
    """Whether key material is in it; also as it is written in a manifest, where the policy pack
    looks: white space is no white space there.
    """
    written = value or "", json.dumps(value)
    return any(map(KEY_MATERIAL.search, written))


def _shown(value: str) -> str:
    """The value as it is, on one line; as JSON where it would look like another one."""
    plain = value == " ".join(value.split()) and not value.startswith('"')
    return value if plain and all(map(_is_plain, value)) else json.dumps(value)


def _is_plain(character: str) -> bool:
    """Whether it is seen, and taken for no other one; there are too many that are not."""
    return character.isprintable() and character < LATIN_END


def _anew(old: Mapping[str, str], new: Mapping[str, str]) -> bool:
    both = [key for key in old if key in new and DIGESTS.fullmatch(key)]
    return len(both) > 1 and all(old[key] != new[key] for key in both)


def _formation(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    key = re.compile(r"processes\.(.+)\.quantity")
    for match in filter(None, map(key.fullmatch, {**old, **new})):
        before, after = old.get(match[0]), new.get(match[0])
        if before != after:
            yield f"`{match[1]}` {before or 0} → {after or 0}"


def _config_vars(manifest: Mapping[str, str]) -> dict[str, object]:
    return {k.removeprefix(CONFIG): v for k, v in manifest.items() if k.startswith(CONFIG)}


def _config_files(manifest: Mapping[str, str]) -> dict[str, object]:
    files: dict[str, object] = {}
    for match in filter(None, map(CONFIG_FILE.fullmatch, manifest)):
        files[match[1]] = [manifest.get(f"config_files.{match[1]}.{k}") for k in CONFIG_FILE_KEYS]
    return files


def _fates(old: Mapping[str, object], new: Mapping[str, object]) -> dict[str, tuple[str, ...]]:
    """What becomes of each name that does not stay as it is."""
    return {
        "added": tuple(sorted(new.keys() - old.keys())),
        "changed": tuple(sorted(k for k in old.keys() & new.keys() if old[k] != new[k])),
        "removed": tuple(sorted(old.keys() - new.keys())),
    }
