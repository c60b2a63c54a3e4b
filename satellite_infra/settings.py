"""What a team declares in Pulumi.STACK.yaml, as one frozen value; configuration.py reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from satellite_infra import fields as f
from satellite_infra import problems, rules
from satellite_infra.naming import MOST_WORKERS, NAMESPACE

ENCRYPTED = frozenset(
    {
        "private_key",
        "next_private_key",
        "host_key_seed",
        "deploy_key",
        "heroku_api_token",
        "heroku_host_token",
        "alert_urls",
        "release_webhook",
        "monit_password",
    }
)
"""Settings that must be encrypted in the stack file."""
MAY_BE_ENCRYPTED = frozenset({"config", "config_files"})
"""Settings whose values may be; no other setting may."""


class Model(BaseModel):
    """Frozen; a key that it does not know is an error. The docstrings are the reference's text."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class WatchSettings(Model):
    """From when on monit tells of a worker; systemd's limits are other settings."""

    memory: f.Size = Field(default="", examples=["300M"])
    """Memory of a worker with its children."""
    cpu: f.CpuQuota = Field(default="", examples=["90%"])
    """CPU since the last look, of one core's time."""
    restarts: Annotated[f.Number, Field(ge=1, le=1000)] | None = Field(default=None, examples=[1])
    """Ends in a row that were not clean; `1` tells of every one. Ten minutes without are the end
    of it."""


class ProcessSettings(Model):
    """One process type of the Procfile: how many workers on each host, and how each ends."""

    quantity: Annotated[f.Number, Field(ge=1, le=MOST_WORKERS)] = Field(examples=[2])
    """How many workers on each host. Required."""
    command: f.Line = Field(default="", examples=["bundle exec rake jobs:work"])
    """Instead of the Procfile's line."""
    # systemd takes 0 for: no limit
    grace: Annotated[f.Number, Field(ge=1, le=86_400)] = Field(default=60, examples=[120])
    """Seconds from `signal` to SIGKILL: more than the longest job takes."""
    overlap: f.Switch = Field(default=False, examples=[True])
    """`true`: at a deploy new workers start at once, and the old ones are told to end when the new
    ones have passed the gate; for that time the host needs room for both. Otherwise each new one
    starts when the old one of its place has ended."""
    signal: Literal["TERM", "INT", "QUIT", "HUP", "USR1", "USR2"] = Field(
        default="TERM", examples=["INT"]
    )
    """What a worker gets first when it shall end: the signal that lets it finish its job. A change
    is for the workers that run now, too."""
    signal_to: Literal["all", "main"] = Field(default="all", examples=["main"])
    """Which of a worker's processes get it: `all`, as on Heroku, or `main`, the first alone, for a
    worker that forks a child for each job and waits for it, where the signal would end the child
    (RQ; Resque, with `signal: QUIT`). What still runs at its own end is killed. Behind a shell
    (`a && b`, a pipe) `main` is the shell, which ends at once: such a command needs `exec` for the
    worker."""
    memory_max: f.MemoryMax = Field(default="", examples=["700M"])
    """Limit for each worker: the kernel ends one that grows beyond it."""
    cpu: f.CpuQuota = Field(default="", examples=["150%"])
    """Limit for each worker, of one core's time: `150%` is a core and a half."""
    env: dict[f.EnvName, f.EnvValue] = Field(default={}, examples=[{"QUEUES": "mail,default"}])
    """Variables of this type alone; they win over config vars of the same name. Previews show
    them: what is secret belongs in `config`."""
    alert: WatchSettings | None = Field(
        default=None, examples=[{"memory": "300M", "cpu": "90%", "restarts": 1}]
    )
    """What `monit` tells of a worker: `memory`, with its children and without files that are cached
    for it; `cpu`, of one core's time since the last look; `restarts`, unclean ends in a row, until
    ten minutes go without one."""
    on_kill: f.Line = Field(default="", examples=["bin/release-jobs"])
    """Shell command that gives back the jobs of workers that were killed: the lines of
    `DEAD_WORKERS` are their names, or, with a dot at the end, what all names of a `lost` machine
    begin with. It runs as the app's user in the release, and again until it succeeds. Not needed
    with delayed_job."""


class ConfigFileSettings(Model):
    """A file that config vars fill in."""

    template: f.Template = Field(
        repr=False, examples=["production:\n  url: {{ DATABASE_URL | json }}\n"]
    )
    """Its text: `{{ NAME }}` is a config var as it is, `{{ NAME | json }}` a quoted text for YAML
    and JSON, `{{ NAME | ruby }}` one for Ruby. Required."""
    mode: f.FileMode = Field(default="0640", examples=["0640"])
    """`0600`, `0640`, `0400` or `0440`; its group is the app's."""
    owner: Literal["app", "root"] = Field(default="app", examples=["root"])
    """`root`: the app reads it and cannot change it."""


class HerokuSettings(Model):
    """What is asked from Heroku's Platform API, in previews and updates."""

    app: f.HerokuApp = Field(examples=["shop-staging"])
    """Name or id of the app. Required."""
    config: f.HerokuConfig = Field(default="off", examples=["inherit"])
    """`inherit`: its config vars are the workers', too, and those of `satellite:config` win.
    `check`: a preview warns of names that differ, and of another commit. `off`: neither."""
    names: tuple[f.EnvName, ...] = Field(default=(), examples=[["DATABASE_URL", "REDIS_URL"]])
    """Only these config vars; all where none is named, but for those about a dyno's disk such as
    `PATH`."""
    rotate: Annotated[f.Number, Field(ge=1, le=1440)] | None = Field(default=None, examples=[30])
    """Minutes from one look of each host at Heroku to its next one: where a config var that it
    inherited has another value, it restarts its workers with it, in its turn. A part of an hour,
    or hours that are a part of a day. Off where it is not set."""


class PromoteSettings(Model):
    """What `satellite promote` moves to this stack, beside the head of `branch`."""

    source: f.Branch | None = Field(default=None, examples=["staging"])
    """Branch of the repository whose head goes; what is checked out where it is not set."""
    heroku_remote: f.HerokuRemote | None = Field(
        default=None, examples=["https://git.heroku.com/shop-staging.git"]
    )
    """Heroku's git remote, which gets the commit, too, and builds it before any host does."""
    heroku_branch: f.Branch = Field(default="main", examples=["main"])
    """The branch that Heroku builds."""
    tag: f.Switch = Field(default=False, examples=[True])
    """`true`: a tag on the repository says when which commit was promoted, as
    `production-20260131T170000Z`."""


class AmiSettings(Model):
    """The newest image of an owner whose name fits; existing instances keep theirs."""

    owner: f.AmiOwner = Field(examples=["136693071363"])
    """AWS account id of the image's owner, or `amazon`, `aws-marketplace`, `self`. Required."""
    name: f.Line = Field(examples=["debian-12-amd64-*"])
    """Name of the image; `*` and `?` stand for any text and any character. Required."""


class BastionSettings(Model):
    """The machine through which every host is reached; the login key opens it, too."""

    address: f.Address = Field(examples=["bastion.example.com"])
    """IP address or DNS name. Required."""
    host_key: f.PublicKey = Field(
        examples=[
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJj1lcCmhlZphUTHYt3BhGPZJXcBTzk1uVg2o+uxDbnq"
        ]
    )
    """`TYPE KEY`: the only SSH host key that is accepted. Required."""
    user: f.LoginUser | None = Field(default=None, examples=["jump"])
    """How to log in; `ssh_user` where it is not set."""
    port: Annotated[f.Number, Field(ge=1, le=65_535)] = Field(default=22, examples=[22])
    """Its SSH port."""


class AptSourceSettings(Model):
    """A package source beside the distribution's own."""

    uri: f.SourceUri = Field(examples=["https://apt.example.com/debian"])
    """`https://...` or `http://...`. Required."""
    suite: f.Suite = Field(examples=["bookworm-pgdg"])
    """Name of its distribution; one that ends in `/` has no components. Required."""
    components: tuple[f.Component, ...] = Field(default=(), examples=[["main"]])
    """Its components."""
    key: f.ArmouredKey = Field(
        examples=[
            "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQINBE...\n"
            "-----END PGP PUBLIC KEY BLOCK-----\n"
        ]
    )
    """The public key, armoured, that alone may sign it. Required."""


class RubySettings(Model):
    """A Ruby of one version, built on each host from its source archive."""

    version: f.RubyVersion = Field(examples=["3.3.6"])
    """Names its directory, `/opt/rubies/VERSION`. With another archive or other options choose
    another one, such as `3.3.6-2`. Required."""
    source: f.SourceUri = Field(examples=["https://ruby.example.com/ruby-3.3.6.tar.gz"])
    """The archive: `https://...` or `http://...`. Required."""
    sha256: f.Sha256 = Field(
        examples=["0f1e2d3c4b5a69788796a5b4c3d2e1f00011223344556677889900aabbccddee"]
    )
    """The archive's SHA-256, in hex. Required."""
    configure: tuple[f.Line, ...] = Field(
        default=("--disable-install-doc",), examples=[["--disable-install-doc", "--enable-yjit"]]
    )
    """Options for its `configure`."""
    rubygems: f.GemVersion = Field(default="", examples=["3.5.23"])
    """Version of RubyGems; the archive's own where it is not set."""
    bundler: f.GemVersion = Field(default="", examples=["2.5.23"])
    """Version of Bundler; the archive's own where it is not set."""


class HostSettings(Model):
    """What is special about one host; with an `address` it exists already, without AWS."""

    lost: f.Switch = Field(default=False, examples=[False])
    """`true`: it is dead, or switched off for good. Nobody connects, it goes without a drain, and
    its jobs are given to others."""
    ami: f.Ami | None = Field(default=None, examples=["ami-0123456789abcdef0"])
    """Image of this instance alone."""
    instance_type: f.InstanceType | None = Field(default=None, examples=["c7i.large"])
    """EC2 type of this instance alone."""
    root_volume_gb: Annotated[f.Number, Field(ge=8, le=16_384)] | None = Field(
        default=None, examples=[100]
    )
    """Encrypted disk of this instance alone, in GB; `root_volume_gb` says how it changes."""
    subnet_id: f.SubnetId | None = Field(default=None, examples=["subnet-0123456789abcdef0"])
    """Subnet of this instance alone."""
    private_ip: f.PrivateIPv4 | None = Field(default=None, examples=["10.0.1.10"])
    """A private address that this instance keeps when it is replaced, of its `subnet_id`, or of the
    only one of `subnet_ids`."""
    protect: f.Switch | None = Field(default=None, examples=[False])
    """`protect` of this instance alone: set `false` and `pulumi up`, then remove or roll it."""
    address: f.Address | None = Field(default=None, examples=["rented.example.com"])
    """IP address or DNS name of a host that exists without us."""
    host_key: f.PublicKey | None = Field(
        default=None,
        examples=[
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJj1lcCmhlZphUTHYt3BhGPZJXcBTzk1uVg2o+uxDbnq"
        ],
    )
    """`TYPE KEY`: the only SSH host key that is accepted. Required with an address."""
    user: f.LoginUser | None = Field(default=None, examples=["root"])
    """Who logs in to this host, such as the user of its own `ami`; `ssh_user` where it is not
    set."""
    port: Annotated[f.Number, Field(ge=1, le=65_535)] | None = Field(default=None, examples=[22])
    """SSH port where there is an address; 22 where it is not set."""
    machine: Annotated[f.Number, Field(ge=1, le=10**9)] | None = Field(default=None, examples=[1])
    """Raise it whenever it is another machine, behind this address or with another one: that is
    prepared, and the old one drained, or `lost` first. 1 where it is not set."""


class MonitSettings(Model):
    """monit on each host: it watches and tells by mail; systemd starts and stops the workers."""

    mail_to: tuple[f.MonitReceiver, ...] = Field(examples=[["ops@example.com"]])
    """Who is told. Required."""
    mail_from: f.Email = Field(examples=["satellite@example.com"])
    """The sender. Required."""
    smtp_host: f.Address = Field(examples=["smtp.example.com"])
    """The mail server; apps that share a host share it, with its port and user. Required."""
    smtp_port: Annotated[f.Number, Field(ge=1, le=65_535)] = Field(default=587, examples=[465])
    """Its port."""
    smtp_tls: f.Switch = Field(default=True, examples=[True])
    """`false`: without TLS, and then without a user."""
    smtp_user: f.MonitText = Field(default="", examples=["satellite"])
    """Who logs in there; the password is `monit_password`."""
    every_seconds: Annotated[f.Number, Field(ge=5, le=3600)] = Field(default=60, examples=[30])
    """Seconds between two looks; where apps share a host, one app's."""
    disk_percent: Annotated[f.Number, Field(ge=1, le=99)] = Field(default=85, examples=[90])
    """Use of a disk from which on it is told: the system's, and others that the app fills."""
    load_per_core: Annotated[f.Number, Field(ge=1, le=100)] = Field(default=4, examples=[8])
    """Load of five minutes for each core from which on it is told."""


class QueueSettings(Model):
    """The queue's length and the age of its oldest job, told to CloudWatch by two instances.

    One of `delayed_job`, `command` and `sql`.
    """

    delayed_job: f.Switch = Field(default=False, examples=[True])
    """`true`: as delayed_job keeps them, in the database of `DATABASE_URL`."""
    command: f.Line = Field(default="", examples=["bin/queue-numbers"])
    """Shell command whose last line is two numbers: how many jobs could run now, and for how many
    seconds the oldest of them could. It runs as the app's user in the release, 40 seconds at most.
    """
    sql: f.Statement = Field(
        default="",
        examples=[
            "SELECT count(*), extract(epoch FROM now() - min(due)) FROM jobs WHERE due <= now()"
        ],
    )
    """SQL that yields them, for `psql` and the PostgreSQL of `DATABASE_URL`; it only reads."""
    name: f.QueueName = Field(default="default", examples=["default"])
    """What CloudWatch calls the queue."""
    every_minutes: f.MinutesOfAnHour = Field(default=1, examples=[1])
    """Minutes between two looks."""
    age_seconds: Annotated[f.Number, Field(ge=1, le=604_800)] = Field(default=600, examples=[900])
    """From when on the oldest job's age is an alarm; so is that nobody tells it."""
    depth: Annotated[f.Number, Field(ge=1, le=10**9)] = Field(default=1000, examples=[5000])
    """From how many jobs on it is an alarm."""
    minutes: Annotated[f.Number, Field(ge=1, le=1440)] = Field(default=5, examples=[10])
    """Minutes that either must last, up to the next multiple of `every_minutes`."""


class AlertSettings(Model):
    """Who is told by AWS when an instance is in trouble, and from when on a CPU is."""

    emails: tuple[f.Email, ...] = Field(default=(), examples=[["ops@example.com"]])
    """Each gets a mail from AWS first, whose link confirms that it wants the others."""
    cpu_percent: Annotated[f.Number, Field(ge=1, le=100)] = Field(default=90, examples=[95])
    """Average of an instance's CPU from which on it is an alarm."""
    cpu_minutes: Annotated[f.Number, Field(ge=5, le=1440, multiple_of=5)] = Field(
        default=15, examples=[30]
    )
    """Minutes that it must last, in steps of 5: what EC2 measures without a charge."""
    kms_key: f.KmsKey = Field(
        default="",
        examples=["arn:aws:kms:us-east-1:123456789012:key/0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"],
    )
    """ARN of your key that encrypts the topic; its policy has to let `cloudwatch.amazonaws.com` use
    it. The one that AWS keeps for SNS does not, and alarms would be lost without a word."""


class EgressSettings(Model):
    """One way out of the hosts."""

    protocol: f.Protocol = Field(default="tcp", examples=["tcp"])
    """`tcp`, `udp`, `icmp`, `icmpv6` or `all`."""
    from_port: Annotated[f.Number, Field(ge=0, le=65_535)] | None = Field(
        default=None, examples=[443]
    )
    """First port; required with `tcp` and `udp`."""
    to_port: Annotated[f.Number, Field(ge=0, le=65_535)] | None = Field(
        default=None, examples=[443]
    )
    """Last port; required with `tcp` and `udp`."""
    cidr: f.Cidr = Field(examples=["0.0.0.0/0"])
    """The network, of IPv4 or IPv6. Required."""
    description: f.Description = Field(examples=["HTTPS"])
    """What it is for: stands beside the rule in AWS. Required."""


ANYWHERE = tuple(
    EgressSettings(protocol="all", cidr=cidr, description="Out to anywhere")
    for cidr in ("0.0.0.0/0", "::/0")
)


class Settings(Model):
    """Everything that a stack declares. An empty text stands for: not set."""

    app: f.AppName = Field(default="", examples=["shop"])
    """Name of the app, and of its user on the hosts. A stack keeps its app. Required."""
    environment: f.EnvironmentName = Field(default="", examples=["staging"])
    """Name of the environment; the stack's name where it is not set."""
    repository: f.Repository = Field(default="", examples=["git@github.com:you/app.git"])
    """The app's git repository: `ssh://...`, `git@HOST:PATH` or `https://...`. Required."""
    branch: f.Branch = Field(default="main", examples=["main"])
    """Its head is deployed."""
    revision: f.Revision = Field(default="", examples=["0f1e2d3c4b5a69788796a5b4c3d2e1f000112233"])
    """40 hex digits: deploy this commit, whatever the branch says. `heroku`: the commit that the
    app runs on Heroku."""
    generation: Annotated[f.Number, Field(ge=0, le=10**9)] = Field(default=0, examples=[1])
    """Raise it to have every host visited although nothing changed."""
    deploy_key: f.PrivateKey = Field(default="", repr=False)
    """Secret: the private key that may read the repository. Required with SSH."""
    known_hosts: tuple[f.KnownHost, ...] = Field(
        default=(),
        examples=[
            [
                "github.com ssh-ed25519 "
                "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
            ]
        ],
    )
    """The git server's lines of `ssh-keyscan`, compared with what its owner publishes. Required
    with SSH."""

    processes: dict[f.ProcessType, ProcessSettings] = {}
    """The formation: process types of the Procfile that run on each host. Required."""
    build: tuple[f.Line, ...] = Field(
        default=(), examples=[["bundle install", "bundle exec rake assets"]]
    )
    """Shell commands, run in the release's directory as the app's user; `bundle install` where none
    is set and there is a Gemfile."""
    config: dict[f.EnvName, f.EnvValue] = Field(
        default={}, repr=False, examples=[{"SMTP_HOST": "smtp.example.com"}]
    )
    """Config vars of the app; values may be secret."""
    environment_vars: tuple[f.EnvName, ...] = Field(
        default=("RAILS_ENV", "RACK_ENV"), examples=[["APP_ENV"]]
    )
    """Config vars that hold the environment's name, where nothing else sets them."""
    config_files: dict[f.ReleasePath, ConfigFileSettings] = Field(default={}, repr=False)
    """Files with secrets, by their path in the release: filled in with config vars, and there
    before the build. A template may be secret."""
    heroku: HerokuSettings | None = None
    """The app on Heroku whose commit and config vars this stack follows."""
    heroku_api_token: f.ApiToken = Field(default="", repr=False)
    """Secret: an API token that may read the app, of `heroku authorizations:create --scope
    read-protected`. Required with `heroku`."""
    heroku_host_token: f.ApiToken = Field(default="", repr=False)
    """Secret: another one, for the hosts. Required with `heroku.rotate`."""
    promote: PromoteSettings | None = None
    """What `satellite promote` does for this stack."""
    packages: tuple[f.Package, ...] = Field(default=(), examples=[["libpq-dev"]])
    """Packages of the distribution, or of `apt_sources`, that the app needs. One as `NAME=VERSION`
    stays at that version: no unattended upgrade takes it further, and a newer one goes back. What
    it needs in that very version, as `libpq-dev` needs `libpq5`, has to be named with it, as
    `NAME=VERSION`, too. Apps that share a host have to agree on it."""
    apt_sources: dict[f.SourceName, AptSourceSettings] = {}
    """Package sources beside the distribution's own, each with the one key that may sign it."""
    unattended_upgrades: f.Switch = Field(default=True, examples=[True])
    """The distribution's security upgrades come by themselves; they restart neither workers nor
    machines."""
    ruby: RubySettings | None = None
    """A Ruby built from its source archive, first in the PATH of workers and build; without it the
    distribution's, from `packages`, which also has to hold what a build needs: `build-essential`,
    `libffi-dev`, `libssl-dev`, `libyaml-dev`, `zlib1g-dev`."""
    keep_releases: Annotated[f.Number, Field(ge=1, le=100)] = Field(default=5, examples=[10])
    """Commits of which each host keeps its newest good release."""
    gate_seconds: Annotated[f.Number, Field(ge=0, le=3600)] = Field(default=10, examples=[30])
    """Seconds that new workers must stay up before a release counts as good."""
    health: f.Line = Field(default="", examples=["bin/check-worker --queue mail"])
    """Shell command that must succeed at the end of `gate_seconds`, run in the release's directory
    as the app's user, with the config vars; when it fails the old release comes back."""
    health_seconds: Annotated[f.Number, Field(ge=1, le=3600)] = Field(default=30, examples=[60])
    """Seconds that it may take."""
    release_phase: f.OnOff = Field(default=False, examples=["on"])
    """`on`: the Procfile's `release` runs on the first live host, once for each commit that was not
    live there, before any worker restarts, and its failure stops the deploy. `off` where Heroku
    runs it on the same database."""
    max_unavailable: f.Share = Field(default="1", examples=["25%"])
    """Hosts that may change at the same time: a number, or a part of the live ones, rounded down
    but at least 1."""
    canary: f.Switch = Field(default=False, examples=[True])
    """The first live host changes alone; no other one before it is good."""
    soak_seconds: Annotated[f.Number, Field(ge=0, le=86_400)] = Field(default=0, examples=[600])
    """Seconds beyond `gate_seconds` that the workers of a new release must stay up on the canary;
    when they do not the old release comes back there, and no other host was touched. One that was
    good there before, as in a rollback, soaks no second time."""
    release_webhook: f.HttpsUrl = Field(default="", repr=False)
    """Secret: `https://...` that each host posts to when a release of it has ended, good or not:
    JSON with a `text`, as Slack's incoming webhooks take it."""
    monit: MonitSettings | None = None
    """monit on each host, which tells of disk, load and the workers' `alert`."""
    monit_password: f.MonitText = Field(default="", repr=False)
    """Secret: the password of `monit.smtp_user`."""

    queue: QueueSettings | None = None
    """The queue's length and the age of its oldest job in CloudWatch, with alarms where `alerts`
    or `alert_urls` say who is told."""

    count: Annotated[f.Number, Field(ge=1, le=1000)] | None = Field(default=None, examples=[2])
    """EC2 instances, named `worker-1` to `worker-N`."""
    names: tuple[f.HostName, ...] = Field(default=(), examples=[["mailer", "reports"]])
    """Instead of `count`: the names of the EC2 instances."""
    hosts: dict[f.HostName, HostSettings] = {}
    """What is special about a host; or, with an `address`, a host that exists without us."""
    ami: f.Ami = Field(default="", examples=["ami-0123456789abcdef0"])
    """Image of new instances. Required with instances, or `ami_lookup`."""
    ami_lookup: AmiSettings | None = None
    """Instead of `ami`: the newest image of this owner and name."""
    instance_type: f.InstanceType = Field(default="t3.small", examples=["t3.medium"])
    """EC2 type of new instances."""
    root_volume_gb: Annotated[f.Number, Field(ge=8, le=16_384)] = Field(default=20, examples=[40])
    """Encrypted disk of the instances, in GB. It grows in place, and its file system at the next
    boot; EC2 refuses to make one smaller: only a machine in `roll` gets a smaller one."""
    ssh_user: f.LoginUser = Field(default="admin", examples=["ubuntu"])
    """Login user of the image, who may use sudo."""
    tags: dict[f.TagKey, f.TagValue] = Field(default={}, examples=[{"team": "orders"}])
    """Tags on everything in AWS, beside `label`, `app`, `environment` and `Name`."""
    roll: tuple[f.HostName, ...] = Field(default=(), examples=[["mailer"]])
    """Instances that are replaced when image, type, key or the like differ; any other keeps its
    machine."""
    protect: f.Switch = Field(default=False, examples=[True])
    """Removing, rolling or destroying an instance is refused, in the preview already and before
    any drain, until a `pulumi up` with `hosts.NAME.protect: false` took its protection away."""
    auto_recover: f.Switch = Field(default=False, examples=[True])
    """EC2 moves an instance to other hardware when its own fails."""
    alerts: AlertSettings | None = None
    """Alarms of CloudWatch for each instance: status checks and CPU, and that they are over."""
    alert_urls: tuple[f.HttpsUrl, ...] = Field(default=(), repr=False)
    """Secret: `https://...` that AWS posts the alarms to, beside the mails; each has to confirm its
    subscription first, as SNS asks it to."""
    app_policies: tuple[f.PolicyArn, ...] = Field(
        default=(), examples=[["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"]]
    )
    """ARNs of the IAM policies that the app may use; without any, and without `queue`, instances
    have no role."""
    app_metadata: Literal["blocked", "allowed"] = Field(default="blocked", examples=["allowed"])
    """Whether the app's processes reach the instance's metadata, and with it the role's
    credentials."""

    public_key: f.PublicKey = Field(
        default="",
        examples=[
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJj1lcCmhlZphUTHYt3BhGPZJXcBTzk1uVg2o+uxDbnq"
        ],
    )
    """The OpenSSH line that may log in to new instances. Required."""
    private_key: f.PrivateKey = Field(default="", repr=False)
    """Secret: its other half. Required, or `ssh_agent`."""
    ssh_agent: f.Switch = Field(default=False, examples=[True])
    """The private half stays in the SSH agent of whoever runs Pulumi."""
    next_public_key: f.PublicKey = Field(
        default="",
        examples=[
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKU4Fdy3xs5PSNMzGvh8Qsdqq0rpjgI2bdC6KO0C8tTf"
        ],
    )
    """The login key of tomorrow, authorised beside today's: the first half of a rotation."""
    next_private_key: f.PrivateKey = Field(default="", repr=False)
    """Secret: its other half, kept until it becomes `private_key`."""
    host_key_seed: f.Seed = Field(default="", repr=False)
    """Secret, 32 characters or more: what the hosts' own SSH keys are derived from. Required."""
    authorized_keys: tuple[f.PublicKey, ...] = Field(
        default=(),
        examples=[
            ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAoGriMqEGWtumu6ccumS8XiQAvqG8nJRCPRBbUMHrxz ada"]
        ],
    )
    """The team's own keys: they may log in as the login user and as the app's user, too. Who is
    removed is locked out."""

    connect: Literal["public", "private"] = Field(default="public", examples=["private"])
    """Reach instances by their public or their private address. With `private` they have no public
    one, for which they need `subnet_ids`: in a default subnet EC2 gives one to each."""
    bastion: BastionSettings | None = None
    """Reach every host through this machine; `ssh_cidrs` then has to hold its address."""
    ssh_cidrs: tuple[f.Cidr, ...] = Field(
        default=(), examples=[["203.0.113.7/32", "2001:db8:7::/48"]]
    )
    """The networks, of IPv4 or IPv6, from which SSH is open; none until you say so."""
    allow_ssh_from_anywhere: f.Switch = Field(default=False, examples=[False])
    """Without it networks above that are wider than /8, of IPv6 than /32, are refused."""
    egress: tuple[EgressSettings, ...] = ANYWHERE
    """Where the hosts may connect to; anywhere where it is not set."""
    vpc_id: f.VpcId = Field(default="", examples=["vpc-0123456789abcdef0"])
    """An existing VPC for the instances; the account's default where it is not set."""
    subnet_ids: tuple[f.SubnetId, ...] = Field(
        default=(), examples=[["subnet-0123456789abcdef0", "subnet-0fedcba9876543210"]]
    )
    """Its subnets, over which the instances are spread by the numbers in their names. Required with
    `vpc_id`."""
    security_group_ids: tuple[f.SecurityGroupId, ...] = Field(
        default=(), examples=[["sg-0123456789abcdef0"]]
    )
    """Existing security groups of the same VPC, such as one that a database lets in: the instances
    are in them, too, and what these allow is allowed beside `ssh_cidrs` and `egress`. Our own
    group is the stack's output `security_group`, for rules of others."""
    reach_seconds: Annotated[f.Number, Field(ge=1, le=3600)] = Field(default=300, examples=[600])
    """Seconds that a host may take to answer on SSH."""

    def name_in_aws(self) -> str:
        """What the stack's login key, group and role there are called."""
        return f"satellite-{self.app}-{self.environment}"

    def instance_names(self) -> tuple[str, ...]:
        """The names of the hosts that are EC2 instances."""
        return self.names or tuple(f"worker-{n}" for n in range(1, (self.count or 0) + 1))

    def every_host(self) -> tuple[str, ...]:
        """The names of all hosts, in their order."""
        return (*self.instance_names(), *self.existing())

    def live(self) -> tuple[str, ...]:
        """The names of the hosts that are not lost, in their order; the first one leads."""
        names = self.every_host()
        return tuple(name for name in names if name not in self.hosts or not self.hosts[name].lost)

    def at_once(self) -> int:
        """How many hosts may change at the same time."""
        number = int(self.max_unavailable.rstrip("%"))
        return max(1, len(self.live()) * number // 100) if "%" in self.max_unavailable else number

    def alerting(self) -> AlertSettings | None:
        """The alarms that instances have; None where nobody would be told."""
        return self.alerts or (AlertSettings() if self.alert_urls else None)

    def measuring(self) -> tuple[str, ...]:
        """The instances that measure the queue: one, and one more for when the first is away."""
        lost = {name for name, host in self.hosts.items() if host.lost}
        able = [name for name in self.instance_names() if name not in lost]
        return tuple(able[:2]) if self.queue else ()

    def protected(self, name: str) -> bool:
        """Whether this instance may not go."""
        own = self.hosts[name].protect if name in self.hosts else None
        return self.protect if own is None else own

    def login_user(self, name: str) -> str:
        """Who logs in to this host."""
        return (self.hosts[name].user if name in self.hosts else None) or self.ssh_user

    def existing(self) -> dict[str, HostSettings]:
        """The hosts that exist without us."""
        return {name: host for name, host in self.hosts.items() if host.address}


WHOLE = frozenset(
    {"alerts", "ami_lookup", "bastion", "heroku", "monit", "promote", "queue", "ruby"}
)
"""Settings of several parts, which mean nothing without one of them."""
STRUCTURED = WHOLE | {
    key
    for key, field in Settings.model_fields.items()
    if get_origin(field.annotation) in (dict, tuple)
}
"""Settings that are maps or lists."""


def validated(
    values: Mapping[str, Any], secret: frozenset[str], stack: str = ""
) -> tuple[Settings, list[str]]:
    """The settings that `values` give, and all problems; `secret`: the keys that are encrypted.

    `stack`: its name, which the environment has where it is not set.
    With problems the settings hold what could be understood, and must not be used.
    """
    kept = {key: parsed(key, value) for key, value in values.items() if value != ""}
    named = {"environment": stack} if stack and "environment" not in kept else {}
    kept |= named
    torn = {key for key, value in kept.items() if _torn(value)}
    found = [problems.line([key], problems.RULES["string_unicode"]) for key in torn]
    found += rules.encryption(kept, secret - MAY_BE_ENCRYPTED, ENCRYPTED)
    kept = {key: value for key, value in kept.items() if key not in torn}
    broken = frozenset(torn)
    try:
        settings = Settings.model_validate(kept)
    except ValidationError as error:
        found += problems.lines(Settings, error, secret | ENCRYPTED | MAY_BE_ENCRYPTED)
        broken |= frozenset(str(e["loc"][0]) for e in error.errors(include_url=False))
        settings = Settings.model_validate(_without(kept, error))
    if named and "environment" in broken:
        how = ", the stack's name: pulumi config set satellite:environment NAME"
        found = [f + how if f.startswith(f"{NAMESPACE}:environment: ") else f for f in found]
    found += rules.across(settings, broken)
    return settings, sorted(found)


def parsed(key: str, value: Any) -> Any:
    """Maps and lists arrive as JSON text, everything else as plain text."""
    if key in STRUCTURED and isinstance(value, str):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _torn(value: Any) -> bool:
    """Whether it holds half a character, such as `\\ud800` in JSON, which nothing could write."""
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except (UnicodeEncodeError, RecursionError):
        return True
    return False


def _without(values: dict[str, Any], error: ValidationError) -> dict[str, Any]:
    """The values without the entries in error, so that the rules across settings see the rest."""
    bad = {e["loc"][:2] for e in error.errors(include_url=False)}
    whole = {path[0] for path in bad if len(path) == 1 or path[0] in WHOLE}
    rest: dict[str, Any] = {}
    for key, value in values.items():
        if key in whole:
            continue
        if isinstance(value, dict):
            rest[key] = {k: v for k, v in value.items() if (key, k) not in bad}
        elif isinstance(value, list):
            rest[key] = [v for n, v in enumerate(value) if (key, n) not in bad]
        else:
            rest[key] = value
    return rest
