"""The kinds of value that settings hold: each knows its rule, and says it when it is broken."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from satellite_infra import keys
from satellite_infra.agent import config_files, config_vars
from satellite_infra.key_text import normal
from satellite_infra.naming import PROCESS_TYPE

BROKEN = "broken rule"
"""The error type of our own rules; its message needs no translation."""

_FIRST = ", a letter or digit first, 63 at most"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HOST_PART = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PRIVATE = tuple(
    map(ipaddress.IPv4Network, ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16"))
)
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
RESERVED_VARS = frozenset(
    {"WORKER_NAME", "PS", "HOME", "USER", "LOGNAME", "SHELL", "INVOCATION_ID", "JOURNAL_STREAM"}
)
SHELLS_VARS = frozenset(
    {
        "_", "BASH", "BASHOPTS", "BASHPID", "BASH_ARGV0", "BASH_COMMAND", "BASH_EXECUTION_STRING",
        "BASH_SUBSHELL", "BASH_VERSINFO", "BASH_VERSION", "COMP_WORDBREAKS", "EPOCHREALTIME",
        "EPOCHSECONDS", "HISTCMD", "IFS", "LINENO", "OLDPWD", "OPTERR", "OPTIND", "PPID", "PS1",
        "PS2", "PS4", "PWD", "RANDOM", "SHELLOPTS", "SHLVL", "SRANDOM"
    }
)  # fmt: skip
"""What bash, which starts every command, sets or unsets whatever it was given (tried)."""
DYNOS_OWN = frozenset(
    {"DYNO", "GEM_HOME", "GEM_PATH", "LD_LIBRARY_PATH", "PATH", "PORT", "PYTHONHOME", "PYTHONPATH"}
)
"""Config vars that old buildpacks left in apps on Heroku, and that are about a dyno's disk: taken
from there only where somebody names them."""
_URL = re.compile(r"(?P<scheme>https|ssh)://((?P<user>[^/]*)@)?[^/@\s:]+(:[0-9]+)?/\S+")
_SCP_LIKE = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:[^\s:]+")


def broken(rule: str, hide: bool = False) -> PydanticCustomError:
    """The error that says `rule`; with `hide`, the value is not repeated."""
    return PydanticCustomError(BROKEN, "{rule}", {"rule": rule, "hide": hide})


def _matching(pattern: str, rule: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise broken(rule)
        return value

    return AfterValidator(check)


def _whole_number(value: Any) -> Any:
    """Scalars of a stack file arrive as text; `true` and `1.5` are not numbers of anything here."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise broken("should be a whole number")


def _switch(value: Any) -> Any:
    if value in ("true", "false"):
        return value == "true"
    if isinstance(value, bool):
        return value
    raise broken("should be true or false")


def _on_off(value: Any) -> Any:
    if value in ("on", "off"):
        return value == "on"
    if value in ("true", "false"):  # what YAML 1.1 makes of an on or off without quotes
        return value == "true"
    if isinstance(value, bool):
        return value
    raise broken("should be on or off")


def _share(value: Any) -> Any:
    found = re.fullmatch(r"([1-9][0-9]{0,3})(%?)", str(value))
    if isinstance(value, bool) or not found or int(found[1]) > (100 if found[2] else 1000):
        raise broken("should be a number from 1 to 1000, or a part from 1% to 100%")
    return str(value)


def _memory_max(text: str) -> str:
    least = {"K": 64 << 10, "M": 64, "G": 1, "T": 1}
    if text[-1] in least and int(text[:-1]) < least[text[-1]]:
        raise broken("should be 64M or more: a worker starts as a Python program of 25 MB")
    return text


def _cidr(value: str) -> str:
    try:
        wider = str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        raise broken("should be a CIDR such as 203.0.113.7/32") from None
    if "/" not in value:
        raise broken(f"should be a CIDR such as {wider}")
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        raise broken(f"should have no bits set behind its prefix, such as {wider}") from None


def _repository(value: str) -> str:
    url = _URL.fullmatch(value)
    user = (url and url["user"]) or ""
    token = "?" in value or "#" in value
    if url and (":" in user or (user and url["scheme"] == "https") or token):
        raise broken("should hold no password or token: use satellite:deploy_key", hide=True)
    if not url and not _SCP_LIKE.fullmatch(value):
        rule = "should be ssh://..., https://... or git@HOST:PATH"
        raise broken(rule, hide="@" in value or token)
    return value


def _heroku_remote(value: str) -> str:
    if not re.fullmatch(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?/[\w./-]+", value):
        rule = "should be https://git.heroku.com/APP.git; git itself knows how to log in there"
        raise broken(rule, hide="@" in value)
    return value


def _address(value: str) -> str:
    if "%" in value:  # and in ssh's settings it means something else
        raise broken("should be an address without a zone, which is one computer's own")
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        parts = value.lower().split(".")
    if len(value) > 253 or not all(_HOST_PART.fullmatch(part) for part in parts):
        raise broken("should be an IP address or a DNS name")
    if parts[-1].isdigit():
        raise broken("should be a whole IP address or a DNS name")
    return value


def _private_ipv4(value: str) -> str:
    try:
        address = ipaddress.IPv4Address(value)
    except ValueError:
        raise broken("should be an IPv4 address") from None
    if not any(address in network for network in _PRIVATE):
        raise broken("should be a private address, such as 10.0.1.10")
    return str(address)


def _line(value: str) -> str:
    if not value.strip() or any(ord(c) < 32 or ord(c) == 127 for c in value):
        raise broken("should be one line of text without control characters")
    return value


def _statement(value: str) -> str:
    if not value.strip() or any((ord(c) < 32 and c not in "\n\t") or ord(c) == 127 for c in value):
        raise broken("should be text without control characters")
    if len(value) > 4000:
        raise broken("should be at most 4000 characters")
    return value


def _of_an_hour(value: int) -> int:
    if not 1 <= value <= 30 or 60 % value:
        raise broken("should be 1, 2, 3, 4, 5, 6, 10, 12, 15, 20 or 30")
    return value


def _env_name(value: str) -> str:
    if not _ENV_NAME.fullmatch(value):
        raise broken("should be named with letters, digits and _, no digit first")
    if value in RESERVED_VARS or value.startswith("SATELLITE_"):
        raise broken("should have another name: satellite itself sets this variable")
    if value in SHELLS_VARS:
        raise broken("should have another name: the shell itself sets this variable")
    return value


def _digits(value: Any) -> Any:
    """A text where it is a whole number: `pulumi config set --path` writes digits as one."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _env_value(value: Any) -> Any:
    value = _digits(value)
    if not isinstance(value, str):
        raise broken("should be text: write it in quotes")
    if "\0" in value:
        raise broken("should hold no NUL byte")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:  # half a character, as JSON can say it
        raise broken("should be a text in UTF-8", hide=True) from None
    most = config_vars.LONGEST
    if size > most:
        raise broken(f"should be {most} bytes or less: with its name Linux takes 128 KB")
    return value


def _release_path(value: str) -> str:
    parts = value.split("/")
    if {"", ".", ".."} & {*parts}:
        raise broken("should be a path within the release, such as config/database.yml")
    if not re.fullmatch(r"[A-Za-z0-9._+@/-]{1,200}", value):
        raise broken("should be a path of letters, digits and ._+@-/, 200 at most")
    for taken in ("REVISION", "Procfile", ".git", "log", "tmp/pids"):
        if overlap(value, taken):
            raise broken(f"should be another path: {taken} is satellite's or the repository's")
    return value


def overlap(one: str, other: str) -> bool:
    """Whether two paths are the same, or one is below the other."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _template(value: str) -> str:
    if "\0" in value or len(value.encode(errors="replace")) > 128 * 1024:
        raise broken("should have no NUL byte and at most 128 KB")
    for line, _, problem in config_files.uses(value):
        if problem:
            raise broken(f"line {line}: {problem}", hide=True)
    return value


MODES = ("0600", "0640", "0400", "0440")


def _file_mode(value: Any) -> Any:
    # YAML reads 0640 as an octal number, and `pulumi config set --path` writes 640
    numbers = {number: mode for mode in MODES for number in (int(mode), int(mode, 8))}
    text = f"{value:0>4}" if isinstance(value, str) else ""
    if isinstance(value, int) and not isinstance(value, bool):
        text = numbers.get(value, "")
    if text not in MODES:
        raise broken(f"should be one of {', '.join(MODES)}")
    return text


def _process_type(value: str) -> str:
    if not re.fullmatch(PROCESS_TYPE, value):
        raise broken(f"should be a process type of letters, digits, _ and -{_FIRST}")
    if value == "release":
        raise broken("should be a process that keeps running; `release` is the release phase")
    return value


def _branch(value: str) -> str:
    wrong = re.search(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|//|@\{|^[-/.]|[/.]$|\.lock$", value)
    if wrong or not value:
        raise broken("should be the name of a branch")
    return value


def _openssh_private(value: str) -> str:
    if problem := keys.private_key_problem(value):
        raise broken(problem)
    return normal(value)


def _openssh_public(value: str) -> str:
    if problem := keys.public_key_problem(value):
        raise broken(problem)
    return value.strip()


def _known_host(value: str) -> str:
    hosts, _, key = _line(value).strip().partition(" ")
    if not hosts or keys.public_key_problem(key):
        raise broken("should be a line as ssh-keyscan prints it: HOST TYPE KEY")
    return value.strip()


def _source_uri(value: str) -> str:
    if "@" in value.partition("://")[2].partition("/")[0] or "?" in value or "#" in value:
        raise broken("should hold no user, password or query: previews show it", hide=True)
    if not re.fullmatch(r"https?://[^/\s]+(/[^\s]*)?", value):
        raise broken("should be https://... or http://...")
    return value


def _armoured_key(value: str) -> str:
    begin, end = (f"-----{edge} PGP PUBLIC KEY BLOCK-----" for edge in ("BEGIN", "END"))
    text = value.strip()
    if not (text.startswith(begin) and text.endswith(end)) or "PRIVATE" in text:
        raise broken(f"should be one public key, from {begin} to {end}", hide=True)
    return text + "\n"


def _seed(value: str) -> str:
    if len(value) < 32:
        raise broken("should have at least 32 characters of random text")
    return value


Text = Annotated[str, Field(strict=True)]
Switch = Annotated[bool, BeforeValidator(_switch)]
OnOff = Annotated[bool, BeforeValidator(_on_off)]
Share = Annotated[str, BeforeValidator(_share)]
Number = Annotated[int, BeforeValidator(_whole_number)]
AppName = Annotated[
    Text,
    _matching(
        r"[a-z][a-z0-9-]{0,30}",
        "should be lower-case letters, digits and -, a letter first, 31 at most",
    ),
]
EnvironmentName = Annotated[
    Text,
    _matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", f"should be letters, digits, . _ and -{_FIRST}"),
]
HostName = Annotated[
    Text,
    _matching(
        _HOST_PART.pattern,
        "should be a host name of a-z, 0-9 and -, no - first or last, 63 at most",
    ),
]
Commit = Annotated[Text, _matching(_COMMIT.pattern, "should be a commit's 40 hex digits")]
Revision = Annotated[
    Text, _matching(rf"{_COMMIT.pattern}|heroku", "should be a commit's 40 hex digits, or heroku")
]
HerokuApp = Annotated[
    Text, _matching(r"[a-z0-9][a-z0-9-]{1,39}", "should be the name or id of an app on Heroku")
]
HerokuConfig = Annotated[
    Literal["inherit", "check", "off"],
    BeforeValidator(lambda value: "off" if value in ("false", False) else value),  # of YAML 1.1
]
ApiToken = Annotated[
    Text, _matching(r"[!-~]{8,200}", "should be one word of printable characters, 8 or more")
]
Branch = Annotated[Text, AfterValidator(_branch)]
Repository = Annotated[Text, AfterValidator(_repository)]
HerokuRemote = Annotated[Text, AfterValidator(_heroku_remote)]
Cidr = Annotated[Text, AfterValidator(_cidr)]
Address = Annotated[Text, AfterValidator(_address)]
PrivateIPv4 = Annotated[Text, AfterValidator(_private_ipv4)]
Line = Annotated[Text, AfterValidator(_line)]
Statement = Annotated[Text, AfterValidator(_statement)]
MinutesOfAnHour = Annotated[Number, AfterValidator(_of_an_hour)]
QueueName = Annotated[
    Text,
    _matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", f"should be letters, digits, . _ and -{_FIRST}"),
]
Ami = Annotated[
    Text, _matching(r"ami-([0-9a-f]{8}|[0-9a-f]{17})", "should be an AMI id such as ami-0123abcd")
]
AmiOwner = Annotated[
    Text,
    _matching(
        r"[0-9]{12}|amazon|aws-marketplace|self",
        "should be an account's 12 digits, amazon, aws-marketplace or self",
    ),
    BeforeValidator(_digits),
]
Email = Annotated[
    Text,
    _matching(
        r"(?=.{1,254}$)[A-Za-z0-9._%+'-]{1,64}@([A-Za-z0-9-]+\.)+[A-Za-z]{2,63}",
        "should be a mail address such as ops@example.com",
    ),
]
MonitReceiver = Annotated[
    Email, _matching("[^%']*", "should be without % and ', as monit takes no such receiver")
]
HttpsUrl = Annotated[
    Text, _matching(r"https://[^/\s:@]+(:[0-9]{1,5})?(/[!-~]*)?", "should be https://HOST/...")
]
KmsKey = Annotated[
    Text,
    _matching(
        r"arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/[A-Za-z0-9/_-]{1,250}",
        "should be the ARN of a KMS key",
    ),
]
PolicyArn = Annotated[
    Text,
    _matching(
        r"arn:aws[a-z-]*:iam::(aws|[0-9]{12}):policy/[\w+=,.@/-]{1,512}",
        "should be the ARN of an IAM policy",
    ),
]
VpcId = Annotated[Text, _matching(r"vpc-[0-9a-f]{8,17}", "should be a VPC id such as vpc-0123abcd")]
SubnetId = Annotated[
    Text, _matching(r"subnet-[0-9a-f]{8,17}", "should be a subnet id such as subnet-0123abcd")
]
SecurityGroupId = Annotated[
    Text,
    _matching(
        r"sg-([0-9a-f]{8}|[0-9a-f]{17})", "should be a security group's id such as sg-0123abcd"
    ),
]
InstanceType = Annotated[
    Text, _matching(r"[a-z][a-z0-9-]*\.[a-z0-9-]+", "should be an instance type such as t3.small")
]
LoginUser = Annotated[Text, _matching(r"[a-z_][a-z0-9_-]{0,31}", "should be a Linux user's name")]
Package = Annotated[
    Text,
    _matching(
        r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?(=[A-Za-z0-9.+:~-]+)?",
        "should be a Debian package such as libpq-dev",
    ),
]
SourceName = Annotated[
    Text,
    _matching(r"[a-z0-9][a-z0-9-]{0,62}", f"should be lower-case letters, digits and -{_FIRST}"),
]
SourceUri = Annotated[Text, AfterValidator(_source_uri)]
Suite = Annotated[
    Text, _matching(r"[A-Za-z0-9.][A-Za-z0-9._/-]*", "should be a suite such as bookworm")
]
Component = Annotated[
    Text, _matching(r"[A-Za-z0-9][A-Za-z0-9._/-]*", "should be a component such as main")
]
ArmouredKey = Annotated[Text, AfterValidator(_armoured_key)]
Sha256 = Annotated[Text, _matching(r"[0-9a-f]{64}", "should be 64 hex digits, in lower case")]
RubyVersion = Annotated[
    Text, _matching(r"[0-9][A-Za-z0-9.-]{0,62}", "should be a version such as 3.3.6")
]
GemVersion = Annotated[
    Text, _matching(r"[0-9]+(\.[0-9A-Za-z]+)*", "should be a version such as 2.5.23")
]
MemoryMax = Annotated[
    Text,
    _matching(r"[1-9][0-9]{0,8}[KMGT]|[1-9][0-9]?%", "should be a size such as 300M or 20%"),
    AfterValidator(_memory_max),
]
Size = Annotated[Text, _matching(r"[1-9][0-9]{0,8}[KMGT]", "should be a size such as 300M")]
MonitText = Annotated[
    Text, _matching(r"[ -!#-\[\]-~]{1,200}", 'should be ASCII without " and \\, as monit reads it')
]
CpuQuota = Annotated[Text, _matching(r"[1-9][0-9]{0,5}%", "should be a share such as 50% or 150%")]
Protocol = Annotated[Text, _matching(r"tcp|udp|icmp|icmpv6|all", "should be tcp, udp, icmp or all")]
ProcessType = Annotated[Text, AfterValidator(_process_type)]
EnvName = Annotated[Text, AfterValidator(_env_name)]
EnvValue = Annotated[str, BeforeValidator(_env_value)]
ReleasePath = Annotated[Text, AfterValidator(_release_path)]
Template = Annotated[Text, AfterValidator(_template)]
FileMode = Annotated[str, BeforeValidator(_file_mode)]
PrivateKey = Annotated[Text, AfterValidator(_openssh_private)]
PublicKey = Annotated[Text, AfterValidator(_openssh_public)]
KnownHost = Annotated[Text, AfterValidator(_known_host)]
Seed = Annotated[Text, AfterValidator(_seed)]
TagKey = Annotated[
    Text,
    _matching(
        r"(?![aA][wW][sS]:)[\w .:/=+@-]{1,128}",
        "should be 1 to 128 letters, digits, spaces and _.:/=+-@, no aws: first",
    ),
]
TagValue = Annotated[
    Text,
    _matching(r"[\w .:/=+@-]{0,256}", "should be at most 256 letters, digits, spaces, _.:/=+-@"),
]
Description = Annotated[
    Text,
    _matching(
        r"[a-zA-Z0-9 ._:/()#,@\[\]+=&;{}!$*-]{1,255}",
        "should be 1 to 255 letters, digits, spaces and ._-:/()#,@[]+=&;{}!$*",
    ),
]
