"""The rules that no setting can check alone; each yields its problems as lines."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from itertools import combinations
from typing import TYPE_CHECKING, Any

from satellite_infra import keys, naming
from satellite_infra.agent.config_files import uses
from satellite_infra.fields import overlap
from satellite_infra.problems import did_you_mean, like, line

if TYPE_CHECKING:
    from satellite_infra.settings import Settings

SET = "is missing: pulumi config set satellite:"
MAKE = "is missing: make keys; or bring your own, as docs/keys.md says"
WORLD = {4: 8, 6: 32}
"""IP version -> bits of a prefix: a shorter one is the world, or a large part of it."""
ROLE_NAME = 64 - len("-1234567")
"""Characters of a role's name in IAM, beside what Pulumi adds to it."""
INSTANCE_ONLY = (
    "ami",
    "instance_type",
    "root_volume_gb",
    "subnet_id",
    "private_ip",
    "protect",
)
INSTEAD = {"ami": "ami_lookup", "private_key": "ssh_agent"}
"""What can stand in for a key that is required."""
HEROKU_GIT = re.compile(r"https://git\.heroku\.com/([a-z0-9-]+)\.git")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
OWN_TAGS = frozenset({"Name", "label", "app", "environment"})


def encryption(
    values: dict[str, Any], secret: frozenset[str], must: frozenset[str]
) -> Iterator[str]:
    """What must be encrypted is; what previews show is not, or it would be shown all the same."""
    for key in sorted(values.keys() & must - secret):
        yield line([key], f"should be encrypted: pulumi config set --secret satellite:{key}")
    shown = "should not be encrypted: previews show it; secrets belong in satellite:config"
    for key in sorted(values.keys() & secret - must):
        yield line([key], shown)


def across(settings: Settings, broken: frozenset[str]) -> Iterator[str]:
    """Every problem between settings; `broken`: keys that have problems of their own already."""
    each = [users, files, heroku, promote, hosts, overrides, rolling, canary]
    each += [login, role, alerts, monit, queue, packages, sources, network, egress, tags]
    for rule in each:
        yield from rule(settings)
    for key, how in required(settings):
        if key not in broken and INSTEAD.get(key) not in broken:
            yield line([key], how)
    if not broken & {"count", "names", "hosts"}:
        yield from some_host(settings)
    if not broken & {"count", "names"}:
        yield from named_hosts(settings)


def required(s: Settings) -> Iterator[tuple[str, str]]:
    """Each key that is not set and that no default can stand in for, and how to set it."""
    for key, how in {
        "app": SET + "app NAME",
        "repository": SET + "repository GIT_URL",
        "public_key": MAKE,
        "host_key_seed": MAKE,
    }.items():
        if not getattr(s, key):
            yield key, how
    if not s.private_key and not s.ssh_agent:
        yield "private_key", MAKE
    if not s.processes:
        yield "processes", "should name at least one process type and its quantity"
    own = (s.hosts.get(name) for name in s.instance_names())
    if not s.ami_lookup and not s.ami and any(host is None or not host.ami for host in own):
        yield "ami", SET + "ami AMI_ID"
    over_ssh = s.repository and not s.repository.startswith("https://")
    if over_ssh and not s.known_hosts:
        yield "known_hosts", "should hold the git server's line of ssh-keyscan"
    if over_ssh and not s.deploy_key:
        yield (
            "deploy_key",
            "is missing: make keys DEPLOY_KEY=1; or bring your own, as docs/keys.md says",
        )


def some_host(s: Settings) -> Iterator[str]:
    """A satellite has a host."""
    if not s.instance_names() and not s.existing():
        yield line(["hosts"], "is missing: set satellite:count, satellite:names or satellite:hosts")


def named_hosts(s: Settings) -> Iterator[str]:
    """Whatever speaks of an instance speaks of one that the stack has."""
    names = s.instance_names()
    for name in (n for n, host in s.hosts.items() if not host.address and n not in names):
        rule = "should have an `address`, be an instance here, or go with its host"
        if s.hosts[name].model_fields_set <= {"lost"}:  # what a host that was lost has left
            rule += f": pulumi config rm --path satellite:hosts.{name}"
        else:
            rule += did_you_mean(name, names)
        yield line(["hosts", name], rule)
    for name in (name for name in s.roll if name not in names):
        rule = f"should hold only this stack's instances{did_you_mean(name, names)}"
        yield line(["roll"], rule, name)


def users(s: Settings) -> Iterator[str]:
    """Jobs do not run as somebody who may use sudo."""
    logins = {s.ssh_user, "root", *(host.user for host in s.hosts.values())}
    if s.app in logins | {s.bastion.user if s.bastion else None}:
        yield line(["app"], "should have another name than root and the login users", s.app)


def hosts(s: Settings) -> Iterator[str]:
    """Each host has one name and one address."""
    if s.ami and s.ami_lookup:
        yield line(["ami_lookup"], "should not be there beside satellite:ami: one or the other")
    if s.count and s.names:
        yield line(["names"], "should not be there beside satellite:count: one or the other")
    for name in _twice(s.names):
        yield line(["names"], "should name each host once", name)
    for name in sorted(s.existing().keys() & set(s.instance_names())):
        rule = "should have another name: an EC2 instance of this stack has it, or no `address`"
        yield line(["hosts", name], rule)
    for address, port in _twice(
        (str(h.address).lower(), h.port or 22) for h in s.existing().values()
    ):
        yield line(["hosts"], "should have each address once", f"{address}:{port}")
    for address in _twice(h.private_ip for h in s.hosts.values() if h.private_ip):
        yield line(["hosts"], "should have each private_ip once", address)


def overrides(s: Settings) -> Iterator[str]:
    """An entry of `hosts` is about one kind of host."""
    for name, host in s.hosts.items():
        kind = "a host with an `address`" if host.address else "an EC2 instance"
        foreign = list(INSTANCE_ONLY)
        if not host.address:
            foreign = ["port", "host_key", "machine"]
        for key in foreign:
            if getattr(host, key) is not None:
                yield line(["hosts", name, key], f"has no meaning for {kind}")
        if host.address and not host.host_key:
            how = f"is missing: TYPE KEY of ssh-keyscan {host.address}, compared on the host"
            yield line(["hosts", name, "host_key"], how)


def rolling(s: Settings) -> Iterator[str]:
    """Machines that keep their address go before their successors come: not too many at once."""
    for name in (name for name in s.roll if s.protected(name)):
        first = f"hosts.{name}.protect' false && pulumi up"
        rule = f"should hold no protected host; first: pulumi config set --path 'satellite:{first}"
        yield line(["roll"], rule, name)
    kept = [name for name in s.roll if name in s.hosts and s.hosts[name].private_ip]
    if len(kept) > s.at_once():
        rule = "should hold at most max_unavailable hosts that have a private_ip"
        yield line(["roll"], rule, ", ".join(kept))


def canary(s: Settings) -> Iterator[str]:
    """A soak needs somebody who soaks."""
    if s.soak_seconds and not s.canary:
        yield line(["soak_seconds"], "should be there only with satellite:canary", s.soak_seconds)


def login(s: Settings) -> Iterator[str]:
    """The two halves of a key belong together, and EC2 takes the kind."""
    if s.ssh_agent and s.private_key:
        yield line(["ssh_agent"], "should be false while there is a satellite:private_key")
    for name, public, private in (
        ("", s.public_key, s.private_key),
        ("next_", s.next_public_key, s.next_private_key),
    ):
        if public and private and not keys.same_public(public, keys.public_line(private)):
            rule = f"should be the public half of satellite:{name}private_key"
            yield line([f"{name}public_key"], rule)
        kind = public.split()[0] if public else "ssh-ed25519"
        if s.instance_names() and kind not in ("ssh-ed25519", "ssh-rsa"):
            rule = "should be ssh-ed25519 or ssh-rsa: EC2 takes no other"
            yield line([f"{name}public_key"], rule, kind)
    if s.next_private_key and not s.next_public_key:
        yield line(["next_public_key"], "is missing: the public half of next_private_key")
    for key in _twice(keys.bare(key) for key in s.authorized_keys):
        yield line(["authorized_keys"], "should hold each key once", key)


def files(s: Settings) -> Iterator[str]:
    """Each config file has its own place, can be read by the app, and can be filled in."""
    for one, other in combinations(s.config_files, 2):
        if overlap(one, other):
            yield line(["config_files", other], f"should not be in the way of {one}")
    for path, file in s.config_files.items():
        if file.owner == "root" and not int(file.mode, 8) & 0o040:
            rule = "should be 0640 or 0440, or the app cannot read what is root's"
            yield line(["config_files", path, "mode"], rule)
    if not s.heroku or s.heroku.config != "inherit":  # else only Heroku knows
        yield from unfilled(s, [*s.config, *s.environment_vars])


def unfilled(s: Settings, known: Collection[str]) -> Iterator[str]:
    """What templates of config files ask for that is none of the known config vars."""
    for path, file in s.config_files.items():
        for number, name, _ in uses(file.template):
            if name and name not in known:
                rule = f"line {number}: {name} is no config var{like(name, known)}"
                yield line(["config_files", path, "template"], rule)


def heroku(s: Settings) -> Iterator[str]:
    """Who asks Heroku says for which app, and has a token."""
    if s.revision == naming.HEROKU and not s.heroku:
        yield line(["heroku"], "is missing: pulumi config set --path satellite:heroku.app NAME")
    if s.heroku and not s.heroku_api_token:
        rule = "is missing: pulumi config set --secret satellite:heroku_api_token"
        yield line(["heroku_api_token"], rule)
    for name in _twice(s.heroku.names if s.heroku else ()):
        yield line(["heroku", "names"], "should hold each name once", name)
    yield from rotation(s)


def rotation(s: Settings) -> Iterator[str]:
    """Who follows Heroku by itself has a token of its own, and hosts never restart together."""
    minutes = s.heroku.rotate if s.heroku else None
    if bool(minutes) != bool(s.heroku_host_token):
        rule = "should be there with satellite:heroku.rotate, and only so"
        yield line(["heroku_host_token"], rule)
    if s.heroku_host_token and s.heroku_host_token == s.heroku_api_token:
        rule = "should be another one than heroku_api_token: either has to be revoked alone"
        yield line(["heroku_host_token"], rule)
    if not s.heroku or not minutes:
        return
    from satellite_infra.agent import turns  # slow to load: with the gate, and what that asks

    if s.heroku.config != "inherit":
        rule = "should be there only with satellite:heroku.config inherit"
        yield line(["heroku", "rotate"], rule, minutes)
    hosts, graces = len(s.every_host()), [p.grace for p in s.processes.values()]
    health = s.health_seconds if s.health else 0
    restart = turns.restart_seconds(graces, s.gate_seconds, health)
    least = turns.shortest_period(max(1, hosts), restart)
    if minutes not in turns.PERIODS:
        rule = "should be a part of an hour, or hours that are a part of a day, in minutes"
        yield line(["heroku", "rotate"], rule, minutes)
    elif least is None or minutes < least:
        rule = f"should be at least {least}" if least else "should be there with less to wait for"
        rule += (
            f": {hosts} hosts take turns, and one restart may take {restart} s, "
            "twice the longest grace and the gate"
        )
        yield line(["heroku", "rotate"], rule, minutes)


def promote(s: Settings) -> Iterator[str]:
    """What is promoted comes from another branch, and goes to the app that is asked."""
    if not s.promote:
        return
    if s.promote.source == s.branch:
        rule = "should be another branch than satellite:branch, to which it goes"
        yield line(["promote", "source"], rule, s.branch)
    app = HEROKU_GIT.fullmatch(s.promote.heroku_remote or "")
    # a remote has the app's name; satellite:heroku.app may be its id
    if app and s.heroku and app[1] != s.heroku.app and not UUID.fullmatch(s.heroku.app):
        rule = f"should be of the app that satellite:heroku.app names, {s.heroku.app}"
        yield line(["promote", "heroku_remote"], rule, s.promote.heroku_remote)


def role(s: Settings) -> Iterator[str]:
    """A role is there for the app to use."""
    for name in _twice(s.app_policies):
        yield line(["app_policies"], "should hold each policy once", name)
    for one, other in combinations(dict.fromkeys(s.app_policies), 2):
        if naming.attachment(one) == naming.attachment(other):
            rule = f"should hold no policy that is {one} but for / and --: one name for the engine"
            yield line(["app_policies"], rule, other)
    key = "app_policies" if s.app_policies else "queue"
    if (s.app_policies or s.queue) and len(name := s.name_in_aws()) > ROLE_NAME:
        rule = f"should have a shorter app or environment: IAM takes {ROLE_NAME} characters of role"
        yield line([key], rule, name)
    if s.app_policies and s.app_metadata == "blocked":
        rule = "should be allowed, or the app cannot use satellite:app_policies"
        yield line(["app_metadata"], rule, s.app_metadata)


def alerts(s: Settings) -> Iterator[str]:
    """An alarm is of an instance, and told to somebody, once."""
    if s.alerts and not s.alerts.emails and not s.alert_urls:
        yield line(["alerts"], "should have emails, or satellite:alert_urls beside it")
    if s.alerting() and not s.instance_names():
        key = "alerts" if s.alerts else "alert_urls"
        yield line([key], "has no meaning without an EC2 instance: satellite:count or names")
    for email in _twice(s.alerts.emails if s.alerts else ()):
        yield line(["alerts", "emails"], "should hold each address once", email)
    if _twice(s.alert_urls):
        yield line(["alert_urls"], "should hold each URL once")


def monit(s: Settings) -> Iterator[str]:
    """Monit has somebody to tell, and no password goes in clear text."""
    if s.monit and not s.monit.mail_to:
        yield line(["monit", "mail_to"], "should hold at least one address")
    if bool(s.monit and s.monit.smtp_user) != bool(s.monit_password):
        yield line(
            ["monit_password"], "should be there with satellite:monit.smtp_user, and only so"
        )
    if s.monit and s.monit.smtp_user and not s.monit.smtp_tls:
        yield line(["monit", "smtp_tls"], "should be true where there is a user: it has a password")
    for type_ in (type_ for type_, p in s.processes.items() if p.alert and not s.monit):
        yield line(["processes", type_, "alert"], "has no meaning without satellite:monit")


def queue(s: Settings) -> Iterator[str]:
    """A queue is measured in one way, by an instance: its role is what CloudWatch knows."""
    if s.queue is None:
        return
    if sum(map(bool, (s.queue.delayed_job, s.queue.command, s.queue.sql))) != 1:
        yield line(["queue"], "should have one of delayed_job, command and sql")
    if not s.instance_names():
        rule = "has no meaning without an EC2 instance, whose role may tell CloudWatch: "
        yield line(["queue"], rule + "satellite:count or names")


def packages(s: Settings) -> Iterator[str]:
    """Of two versions each bootstrap would bring the other one."""
    for name in _twice(package.partition("=")[0] for package in s.packages):
        yield line(["packages"], "should name each package once", name)


def sources(s: Settings) -> Iterator[str]:
    """A suite has components, but for one that is a directory."""
    for name, source in s.apt_sources.items():
        if source.suite.endswith("/") and source.components:
            rule = "has no meaning with a suite that ends in /"
            yield line(["apt_sources", name, "components"], rule)
        if not source.suite.endswith("/") and not source.components:
            rule = "is missing: a suite has components, such as main, but for one that ends in /"
            yield line(["apt_sources", name, "components"], rule)


def network(s: Settings) -> Iterator[str]:
    """SSH is open to the world only where somebody said so in so many words."""
    if bool(s.vpc_id) != bool(s.subnet_ids):
        missing = "subnet_ids" if s.vpc_id else "vpc_id"
        yield line([missing], "is missing: vpc_id and subnet_ids go together")
    for subnet in _twice(s.subnet_ids):
        yield line(["subnet_ids"], "should hold each subnet once", subnet)
    for group in _twice(s.security_group_ids):
        yield line(["security_group_ids"], "should hold each group once", group)
    for name in (n for n, host in s.hosts.items() if host.subnet_id and not s.vpc_id):
        yield line(["hosts", name, "subnet_id"], "has no meaning without satellite:vpc_id")
    for name, host in s.hosts.items():
        if host.private_ip and not host.address and not host.subnet_id and len(s.subnet_ids) != 1:
            rule = "should be there with a subnet_id beside it, or with one satellite:subnet_ids"
            yield line(["hosts", name, "private_ip"], rule, host.private_ip)
    nets = [ipaddress.ip_network(cidr) for cidr in s.ssh_cidrs]
    v4 = ipaddress.collapse_addresses(n for n in nets if isinstance(n, ipaddress.IPv4Network))
    v6 = ipaddress.collapse_addresses(n for n in nets if isinstance(n, ipaddress.IPv6Network))
    joined: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = [*v4, *v6]
    for whole in (str(n) for n in joined if n.prefixlen < WORLD[n.version]):
        if not s.allow_ssh_from_anywhere:
            rule = "should not open SSH to the world without satellite:allow_ssh_from_anywhere"
            yield line(["ssh_cidrs"], rule, whole)
    for cidr in _twice(s.ssh_cidrs):
        yield line(["ssh_cidrs"], "should hold each CIDR once", cidr)


def egress(s: Settings) -> Iterator[str]:
    """Ports where the protocol has ports, and nothing twice."""
    for n, way in enumerate(s.egress):
        if way.protocol in ("tcp", "udp"):
            if way.from_port is None or way.to_port is None or way.from_port > way.to_port:
                yield line(["egress", n], "should have from_port and to_port, in this order")
        elif (way.from_port, way.to_port) != (None, None):
            yield line(["egress", n], f"should have no ports: protocol {way.protocol} has none")
    for twice in _twice((w.protocol, w.from_port, w.to_port, w.cidr) for w in s.egress):
        yield line(["egress"], "should hold each rule once", " ".join(map(str, twice)))


def tags(s: Settings) -> Iterator[str]:
    """EC2 takes 50 tags, and ours are among them; IAM knows no case in their names."""
    for key in sorted(OWN_TAGS & s.tags.keys()):
        yield line(["tags", key], "should have another name: satellite sets this tag")
    on_role = OWN_TAGS - {"Name"} | s.tags.keys() if s.app_policies or s.queue else frozenset()
    alike = _twice(key.lower() for key in on_role)
    for key in (key for key in s.tags if key not in OWN_TAGS and key.lower() in alike):
        rule = "should differ from satellite's and each other in more than case: "
        yield line(["tags", key], rule + "IAM, which has them on the role, knows none")
    if len(s.tags) > 50 - len(OWN_TAGS):
        yield line(["tags"], f"should be at most {50 - len(OWN_TAGS)}, got {len(s.tags)}")


def _twice(values: Iterable[Any]) -> list[Any]:
    return [value for value, times in Counter(values).items() if times > 1]
