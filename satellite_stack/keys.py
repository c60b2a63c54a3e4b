"""Make the keys that a stack lacks, and rotate its login key: `make keys STACK=NAME`.

Keys are made in memory and go to the Pulumi CLI on its standard input, never in a command line or a
file; what is there is never overwritten. docs/keys.md says when to use what.
"""

from __future__ import annotations

import argparse
import re
import secrets
import sys
from collections.abc import Iterator
from typing import Any

from satellite_infra import keys, naming
from satellite_stack.config import Config, ConfigError

DEPLOYERS = re.compile(r"^deployer_keys\.\d+: \S+ (\S+)", re.MULTILINE)
"""The keys of the stack that a host was told to let in, in the script of its bootstrap."""


def make(config: Config, deploy_key: bool) -> Iterator[str]:
    """Set what is missing; yields what a person wants to know."""
    known = config.known()
    if known.get("ssh_agent") == "true":
        yield "satellite:ssh_agent is true: the login key is yours, in your agent."
        if "public_key" not in known:
            yield "  pulumi config set satellite:public_key 'TYPE KEY' # a line of ssh-add -L"
    else:
        yield from pair(config, known, "")
    if "host_key_seed" in known:
        yield "satellite:host_key_seed is there already."
    else:
        config.put("host_key_seed", secrets.token_hex(32))
        yield "satellite:host_key_seed is made, encrypted."
    if deploy_key:
        yield from deployer(config, known)


def pair(config: Config, known: dict[str, str], prefix: str) -> Iterator[str]:
    """Make both halves of a login key, or the public one of a private one."""
    private, public = f"{prefix}private_key", f"{prefix}public_key"
    if private in known and public in known:
        yield f"satellite:{private} and satellite:{public} are there already."
        return
    if public in known:
        raise ConfigError(
            f"satellite:{public} is there without its other half: set satellite:{private}, or\n"
            f"  pulumi config rm satellite:{public} --stack {config.stack}"
        )
    if private not in known:
        config.put(private, keys.new_private_key())
        yield f"satellite:{private} is made, encrypted."
    line = f"{_public(config, private)} {_comment('satellite', config)}"
    config.put(public, line)
    yield f"satellite:{public} is {line}"


def deployer(config: Config, known: dict[str, str]) -> Iterator[str]:
    """The key that reads the repository, and its public half for the git server."""
    if "deploy_key" in known:
        yield "satellite:deploy_key is there already."
    else:
        config.put("deploy_key", keys.new_private_key())
        yield "satellite:deploy_key is made, encrypted."
    yield "Give this to the git server, as a deploy key that may only read:"
    yield f"  {_public(config, 'deploy_key')} {_comment('deploy', config)}"


def begin(config: Config) -> Iterator[str]:
    """The first half of a rotation: a next key beside today's."""
    known = config.known()
    if known.get("ssh_agent") == "true":
        if "next_public_key" not in known:
            raise ConfigError(
                "satellite:ssh_agent is true: the next key is yours, too:\n"
                f"  pulumi config set satellite:next_public_key 'TYPE KEY' --stack {config.stack}"
            )
        yield "satellite:next_public_key is there already."
    elif not {"private_key", "public_key"} <= known.keys():
        raise ConfigError(f"there is no key to rotate yet: make keys STACK={config.stack}")
    else:
        yield from pair(config, known, "next_")


def end(config: Config) -> Iterator[str]:
    """The second half: the next key becomes today's, once every host knows it."""
    known = config.known()
    if "next_public_key" not in known:
        raise ConfigError(f"no rotation has begun: make keys STACK={config.stack} ROTATE=begin")
    line = known["next_public_key"]
    halfway = keys.same_public(line, known.get("public_key", ""))
    if "next_private_key" not in known and known.get("ssh_agent") != "true" and not halfway:
        raise ConfigError("satellite:next_private_key is missing: set it, or begin anew")
    if closed := unprepared(config.state(), line):
        raise ConfigError(
            f"these hosts do not let the next key in yet: {', '.join(closed)}\n"
            f"  pulumi up --stack {config.stack}"
        )
    if "next_private_key" in known:
        if not keys.same_public(line, _public(config, "next_private_key")):
            raise ConfigError("satellite:next_public_key should be of satellite:next_private_key")
        config.put("private_key", config.get("next_private_key"))
    config.put("public_key", line)
    if "next_private_key" in known:
        config.remove("next_private_key")
    config.remove("next_public_key")
    yield f"satellite:public_key is {line}"


def left(config: Config) -> Iterator[str]:
    """What is left to do where the second half was set, and its update has not come to its end.

    Then hosts still let the former key in beside the one that is today's by the settings.
    """
    known = config.known()
    if "public_key" not in known or "next_public_key" in known:
        return
    today = known["public_key"].split()[1:2]
    told = [DEPLOYERS.findall(script) for script in _bootstraps(config.state()).values()]
    # the next key comes second: one that is first was today's before, and no half is left
    if today and any(keys[1:2] == today for keys in told):
        yield f"satellite:public_key is {known['public_key']} already: its update is left"


def unprepared(deployment: dict[str, Any], line: str) -> list[str]:
    """The hosts of a state that were not told to let this key in; lost ones do not count."""
    bootstrapped = _bootstraps(deployment)
    hosts: set[str] = set()
    lost: set[str] = set()
    for resource in deployment.get("resources") or []:
        name, inputs = resource["urn"].split("::")[-1], resource.get("inputs", {})
        if resource["type"] == naming.INSTANCE:
            hosts.add(name)
        elif resource["type"] == naming.REMOTE:
            host, role = naming.host_and_role(name)
            if role == naming.DRAIN:
                (hosts if "delete" in inputs else lost).add(host)
    key = line.split()[1]
    alive = hosts - lost | bootstrapped.keys()
    return sorted(host for host in alive if key not in bootstrapped.get(host, ""))


def _bootstraps(deployment: dict[str, Any]) -> dict[str, str]:
    """Host -> the script that has prepared it, by a state."""
    found = {}
    for resource in deployment.get("resources") or []:
        if resource["type"] == naming.REMOTE and not resource.get("delete"):
            host, role = naming.host_and_role(resource["urn"].split("::")[-1])
            if role == naming.BOOTSTRAP:
                found[host] = resource["inputs"]["create"]
    return found


def _public(config: Config, private: str) -> str:
    """`TYPE KEY` of a private key that is set."""
    value = config.get(private)
    if problem := keys.private_key_problem(value):
        raise ConfigError(f"satellite:{private} {problem}")
    return keys.public_line(value)


def _comment(what: str, config: Config) -> str:
    return f"{what}-{config.stack.replace('/', '-')}"


def following(stack: str, half: str) -> list[str]:
    """What is to be done by hand after a half of a rotation, or after keys were made."""
    if half == "begin":
        return [
            "Next, in this order:",
            f"  pulumi up --stack {stack}   # every host lets both keys in",
            f"  make keys STACK={stack} ROTATE=end",
        ]
    if half == "end":
        return [f"Next: pulumi up --stack {stack}   # logs in with it; the former opens nothing"]
    return [f"Next: pulumi preview --stack {stack}"]


def main(argv: list[str]) -> int:
    """0 when the stack has its keys; 1 with one message on stderr when not."""
    parser = argparse.ArgumentParser(prog="make keys", description=__doc__)
    parser.add_argument("--stack", default="", help="the selected one where it is not given")
    parser.add_argument("--rotate", default="", choices=("", "begin", "end"))
    parser.add_argument("--deploy-key", action="store_true")
    options = parser.parse_args(argv)
    try:
        with Config.of(options.stack).change() as config:
            if options.rotate:
                said = list({"begin": begin, "end": end}[options.rotate](config))
            else:
                said = list(make(config, options.deploy_key))
        for line in [*said, *following(config.stack, options.rotate)]:
            print(line, flush=True)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
