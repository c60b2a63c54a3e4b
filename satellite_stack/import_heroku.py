"""Take over the config vars of an old heroku.yml: `make import FROM=heroku.yml STACK=NAME`.

The file has several environments, each with its app and config; or it is what `heroku config
--json` prints. Every value becomes a secret of the stack, on the Pulumi CLI's standard input, and
is never shown; what the stack has already stays. Standard output says what went where.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from satellite_infra.fields import DYNOS_OWN, EnvName, EnvValue
from satellite_stack.config import Config, ConfigError

ELSEWHERE = {
    "app": "the app on Heroku: satellite:heroku.app follows it (docs/heroku.md)",
    "tag": "not here: satellite:branch or satellite:revision says what is deployed",
    "repo": "Heroku's own repository: satellite:repository names the app's",
    "stack": "Heroku's system: here satellite:ami and satellite:packages",
    "addons": "not here: what they are reached by is in the config vars",
    "config_repo": "more config vars are in that repository: import its config.yml, too",
}
"""Keys of heroku.yml that become no config var, and what there is instead."""


SHOWN = frozenset({"app", "tag", "stack"})
"""Those whose value is nobody's secret."""


class Plain(yaml.SafeLoader):
    """Every value is the text that stands there: what Ruby makes of `on` or `010` is a question."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's stubs call it the instance's
        first: [(tag, pattern) for tag, pattern in found if tag.endswith((":merge", ":null"))]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


@dataclass(frozen=True)
class Source:
    """What one environment of a file says; `doubtful`: config vars that YAML may read otherwise."""

    environment: str
    config: Mapping[str, str] = field(repr=False)
    unset: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()
    others: Mapping[str, str] = field(default_factory=dict)
    """Other keys, and a short value that may be shown."""


def read(file: str) -> dict[str, Source]:
    """Each environment of a file, or of standard input (-); ConfigError where it has none."""
    name = Path(file).name
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(file).read_bytes()
        text = data.decode()  # whatever this machine writes
    except OSError as problem:
        raise ConfigError(f"{file} cannot be read: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file} cannot be read as a text in UTF-8") from None
    return sources(text, name)


def sources(text: str, name: str) -> dict[str, Source]:
    """Each environment of a file; one without a name for the output of `heroku config --json`."""
    plain, typed = _loaded(text, name)
    if not isinstance(plain, dict) or not plain:
        raise ConfigError(
            f"{name} should be a map of environments, or of config vars, such as heroku.yml or "
            "what heroku config --json prints"
        )
    of_apps = isinstance(plain.get("apps"), dict)
    if not of_apps and not any(_is_environment(value) for value in plain.values()):
        return {"": _source("", {"config": plain}, {"config": typed})}
    if of_apps:  # the first format of heroku_san
        apps = plain.pop("apps")
        merged = {stage: {**_part(plain.get(stage)), "app": app} for stage, app in apps.items()}
        plain = {**plain, **merged}
    beside = {key: value for key, value in plain.items() if not isinstance(value, dict)}
    return {
        stage: _source(stage, {**beside, **value}, _part(_part(typed).get(stage)))
        for stage, value in plain.items()
        if isinstance(value, dict)
    }


def _is_environment(value: Any) -> bool:
    """Whether it says what one does."""
    return isinstance(value, dict) and bool({"config", *ELSEWHERE} & value.keys())


def _part(value: Any) -> Mapping[str, Any]:
    """The environment that this is, or an empty one."""
    return value if isinstance(value, dict) else {}


def _loaded(text: str, name: str) -> tuple[Any, Any]:
    """The file with each value as text, and as YAML reads it."""
    try:
        found = json.loads(text)
        return found, found
    except ValueError:
        pass
    except RecursionError:
        raise ConfigError(f"{name} is too deep to be config vars") from None
    if "<%" in text:
        raise ConfigError(f"{name} holds ERB: erb {name} > plain.yml, and import that")
    try:
        plain = yaml.load(text, Plain)
    except yaml.MarkedYAMLError as error:
        where = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        # not its own text, which quotes the file
        raise ConfigError(f"{name} is neither JSON nor YAML{where}") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ConfigError(f"{name} is neither JSON nor YAML") from None
    try:
        return plain, yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):  # one odd value, as a date that is none
        return plain, None


def _source(stage: str, plain: Mapping[str, Any], typed: Mapping[str, Any]) -> Source:
    config, read = _merged(plain.get("config")), _merged(typed.get("config"))
    known = {name: value for name, value in config.items() if isinstance(value, str)}
    others = {k: v if isinstance(v, str) else "" for k, v in plain.items() if k != "config"}
    doubtful = [n for n, v in known.items() if _text(read.get(n, v)) != v]
    unset = [name for name, value in config.items() if value is None]
    unread = [name for name in config if name not in known and name not in unset]
    return Source(stage, known, tuple(unset), tuple(unread), tuple(doubtful), others)


def _merged(config: Any) -> dict[str, Any]:
    """A map of config vars, or a list of such maps as one."""
    parts = config if isinstance(config, list) else [config or {}]
    found: dict[str, Any] = {}
    for part in parts:
        if not isinstance(part, dict):
            raise ConfigError("config should be a map of config vars")
        found.update({str(name): value for name, value in part.items()})
    return found


def _text(value: Any) -> str:
    """As Ruby's `to_s` would say it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def chosen(found: Mapping[str, Source], environment: str, stack: str, name: str) -> Source:
    """The environment that was asked for, or that has the stack's name, or is the only one."""
    wanted = environment or stack.rpartition("/")[2]
    if wanted in found:
        return found[wanted]
    if len(found) == 1 and (not environment or "" in found):
        return next(iter(found.values()))
    raise ConfigError(f"{name} has no environment {wanted}, but {', '.join(found)}")


@dataclass
class Import:
    """One import into a stack; counts what was kept as it was, and what cannot be taken."""

    source: Source
    config: Config
    overwrite: bool = False
    dry_run: bool = False
    overwrites: str = "--overwrite"
    """What is typed to have the file's values win."""
    conflicts: int = 0
    left_out: int = 0
    _taken: dict[str, str] = field(default_factory=dict, repr=False)

    def run(self) -> list[str]:
        """Set what is missing, all in one step; what became of each thing in the file."""
        with nullcontext(self.config) if self.dry_run else self.config.change() as config:
            lines = list(self._read(config.config_vars()))
            if self.changed:
                config.change_config_vars(self._taken)
        return lines

    @property
    def changed(self) -> bool:
        """Whether the stack has something now that it had not."""
        return bool(self._taken) and not self.dry_run

    def left(self) -> str:
        """What was not taken over, in words; empty where nothing was left."""
        left = []
        if self.conflicts:
            left.append(f"{self.conflicts} the stack has with another value, which stays")
        if self.left_out:
            left.append(f"{self.left_out} cannot be taken")
        if not left:
            return ""
        be = "would be" if self.dry_run else "were"
        return "; ".join([f"{len(self._taken)} {be} taken over", *left])

    def _read(self, there: Mapping[str, str]) -> Iterator[str]:
        for name, value in self.source.config.items():
            yield f"{name}: {self._one(name, value, there)}"
        for name in self.source.doubtful:
            yield f"{name}: was taken as it is written; Ruby may have read it otherwise"
        for name in self.source.unset:
            yield f"{name}: left out, it has no value"
        for name in self.source.unread:
            self.left_out += 1
            yield f"{name}: LEFT OUT, it is no text"
        for key, value in self.source.others.items():
            shown = f" {value}" if key in SHOWN and value else ""
            yield f"({key}{shown}: {ELSEWHERE.get(key, 'unknown, nothing was done with it')})"

    def _one(self, name: str, value: str, there: Mapping[str, str]) -> str:
        if problem := unfit(name, value):
            self.left_out += 1
            return f"LEFT OUT, {problem}"
        if there.get(name) == value:
            return "is there already"
        if name in DYNOS_OWN:
            ask = f"satellite config set {name}"
            return f"left out, it is about a dyno's disk; to have it all the same: {ask}"
        if name in there and not self.overwrite:
            self.conflicts += 1
            return (
                f"CONFLICT, the stack has another value, which stays; {self.overwrites} takes this "
                "one"
            )
        self._taken[name] = value
        how = "would be" if self.dry_run else "is"
        instead = ", instead of another value" if name in there else ""
        return f"{how} satellite:config.{name}, encrypted{instead}"


def unfit(name: str, value: str) -> str:
    """The rule that a config var breaks; empty where it breaks none."""
    for kind, part in ((EnvName, name), (EnvValue, value)):
        try:
            TypeAdapter(kind).validate_python(part)
        except ValidationError as error:
            return str(error.errors(include_url=False, include_input=False)[0]["msg"])
    return ""


def main(argv: list[str]) -> int:
    """0 when the stack has what the file has; 1 with one message on stderr when not."""
    parser = argparse.ArgumentParser(prog="make import", description=__doc__)
    parser.add_argument("--from", dest="file", required=True, help="- for standard input")
    parser.add_argument("--stack", default="", help="the selected one where it is not given")
    parser.add_argument("--environment", default="", help="the stack's name where it is not given")
    parser.add_argument("--overwrite", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args(argv)
    try:
        if not options.file:
            raise ConfigError("say what: make import FROM=heroku.yml")
        name, found = Path(options.file).name, read(options.file)
        config = Config.of(options.stack)
        source = chosen(found, options.environment, config.stack, name)
        work = Import(source, config, options.overwrite, options.dry_run, "OVERWRITE=1")
        if source.environment:
            print(f"{source.environment} of {name}, into stack {config.stack}:", flush=True)
        for line in work.run():
            print(f"  {line}", flush=True)
        if rest := [stage for stage in found if stage != source.environment]:
            print(f"Not taken: {', '.join(rest)}")
        if not options.dry_run:
            print(f"Next: pulumi preview --stack {config.stack}")
        if left := work.left():
            raise ConfigError(left)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
