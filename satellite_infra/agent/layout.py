"""Every path on a host has its one owner here."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

AGENT = "/usr/local/lib/satellite/agent"
APP_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


def instance_of(text: str) -> tuple[int, int]:
    """The number and lane of a unit's instance, such as `2` or `2.1`."""
    number, _, lane = text.partition(".")
    return int(number), int(lane or 0)


def instance(number: int, lane: int) -> str:
    """What `instance_of` reads."""
    return f"{number}.{lane}" if lane else str(number)


class Layout:
    """Where things are for one app; `root` is another directory in tests."""

    def __init__(self, app: str, root: Path = Path("/")):
        if not APP_NAME.fullmatch(app):
            raise ValueError(f"app: should match {APP_NAME.pattern}, got {app!r}")
        self.app, self.root = app, root

    # what the app user owns

    @property
    def home(self) -> Path:
        """The app user's home directory."""
        return self.root / "home" / self.app

    @property
    def base(self) -> Path:
        """The app's directory in Capistrano's shape."""
        return self.root / "app" / self.app

    @property
    def releases(self) -> Path:
        """One directory for each release."""
        return self.base / "releases"

    @property
    def shared(self) -> Path:
        """What outlives releases: log, pids, config, bundle."""
        return self.base / "shared"

    def config_files(self, release: str) -> Path:
        """The config files of a release, which it links to; root's, so that no job can swap one."""
        return self.base / "config" / release

    @property
    def current(self) -> Path:
        """The symbolic link to the release that workers start from."""
        return self.base / "current"

    @property
    def places(self) -> tuple[Path, ...]:
        """Where it grows, which may be on disks of their own; the system's comes first."""
        return self.root, self.base, self.shared / "log", self.state, self.logs

    @property
    def first_boot(self) -> Path:
        """What cloud-init has marked as done once for this instance."""
        return self.root / "var/lib/cloud/instance/sem"

    # what root alone may read

    @property
    def state(self) -> Path:
        """What the agent must remember over reboots."""
        return self.root / "var/lib/satellite" / self.app

    @property
    def repository(self) -> Path:
        """The bare git mirror; root's, so that no job can plant a hook or read the deploy key."""
        return self.state / "repository"

    @property
    def notes(self) -> Path:
        """One file for each started worker that has not ended cleanly."""
        return self.state / "workers"

    @property
    def good(self) -> Path:
        """The list of releases that passed their gate, oldest first."""
        return self.state / "good.json"

    @property
    def journal(self) -> Path:
        """Written before anything that runs is touched; its presence means: not finished."""
        return self.state / "journal.json"

    @property
    def prepared(self) -> Path:
        """The release that a release phase has built, until it is good or has failed."""
        return self.state / "prepared.json"

    @property
    def phases(self) -> Path:
        """The revisions whose release phase succeeded here, oldest first."""
        return self.state / "phases.json"

    @property
    def reserve(self) -> Path:
        """Disk space that the way back may use when all other is gone."""
        return self.state / "reserve"

    @property
    def history(self) -> Path:
        """One line of JSON for each release, recovery and drain."""
        return self.state / "history.jsonl"

    @property
    def identity(self) -> Path:
        """Which host and machine this is."""
        return self.state / "host.json"

    @property
    def logins(self) -> Path:
        """The users in whose authorized_keys this app may have a block."""
        return self.state / "logins.json"

    @property
    def deploy_key(self) -> Path:
        """The private key that reads the repository."""
        return self.state / "deploy_key"

    @property
    def known_hosts(self) -> Path:
        """The pinned keys of the git server."""
        return self.state / "known_hosts"

    @property
    def metadata_rules(self) -> Path:
        """The firewall's rules that keep the app from the instance's metadata."""
        return self.state / "metadata.nft"

    @property
    def webhook(self) -> Path:
        """Where it is told how a release ended: the one file that holds that URL."""
        return self.state / "webhook.json"

    @property
    def outbox(self) -> Path:
        """One file for each message that is not sent yet."""
        return self.state / "outbox"

    @property
    def heroku(self) -> Path:
        """How this host asks Heroku, and whether: the one file that holds its token."""
        return self.state / "heroku.json"

    @property
    def rotation(self) -> Path:
        """What rotations must remember: the trouble that was told, and what did not work."""
        return self.state / "rotation.json"

    @property
    def queue(self) -> Path:
        """How the queue is measured, where this host measures it."""
        return self.state / "queue.json"

    @property
    def seal(self) -> Path:
        """How the files were that bootstrap wrote."""
        return self.state / "sealed.json"

    def good_mark(self, release: str) -> Path:
        """A file that is there once a release was good, whatever becomes of the list of them."""
        return self.state / "releases" / release / "good"

    def manifest(self, release: str) -> Path:
        """The manifest that a release runs by."""
        return self.state / "releases" / release / "manifest"

    def config(self, release: str) -> Path:
        """The config vars of a release; beside its config files, all that holds their values."""
        return self.state / "releases" / release / "config.json"

    def templates(self, release: str) -> Path:
        """The templates of its config files, for a rotation."""
        return self.state / "releases" / release / "templates.json"

    def release_seal(self, release: str) -> Path:
        """How its files with config vars were when they were written."""
        return self.state / "releases" / release / "sealed.json"

    def before(self, release: str) -> Path:
        """Digests of what Heroku had before it had the values of the release."""
        return self.state / "releases" / release / "before.json"

    # what a reboot may forget

    @property
    def run(self) -> Path:
        """Requests, results and the lock."""
        return self.root / "run/satellite" / self.app

    @property
    def lock(self) -> Path:
        """Held by the one program that may change this app's workers; dies with its holder."""
        return self.run / "lock"

    @property
    def bootstrap_lock(self) -> Path:
        """Held by the one bootstrap of all apps, which share the agent and apt; no app's name."""
        return self.run.parent / ".bootstrap"

    @property
    def ends(self) -> Path:
        """One file for each unit whose worker ended early: how many times in a row."""
        return self.run / "ends"

    @property
    def stops(self) -> Path:
        """One file for each unit that is ending: if it was told to, and what else ran there."""
        return self.run / "stops"

    @property
    def forgotten(self) -> Path:
        """One file for each note that is of no use and stays: its disk is read-only."""
        return self.run / "forgotten"

    @property
    def unreaped(self) -> Path:
        """Which dead workers' jobs could not be given back, since when and why."""
        return self.run / "unreaped.json"

    @property
    def measured(self) -> Path:
        """What the queue was when it was last measured here."""
        return self.run / "queue.json"

    @property
    def draining(self) -> Path:
        """There while workers are ended for good: no recovery starts them again."""
        return self.run / "draining"

    @property
    def phase(self) -> Path:
        """The step that a release is in, for whoever asks why it ended."""
        return self.run / "phase"

    # the system's

    @property
    def control_groups(self) -> Path:
        """Where the kernel tells of them."""
        return self.root / "sys/fs/cgroup"

    @property
    def logs(self) -> Path:
        """One log for each release."""
        return self.root / "var/log/satellite" / self.app

    @property
    def units(self) -> Path:
        """Where systemd reads units of the machine's owner."""
        return self.root / "etc/systemd/system"

    @property
    def runtime_units(self) -> Path:
        """Where systemd keeps what a unit was given until the machine boots."""
        return self.root / "run/systemd/system.control"

    @property
    def wants(self) -> Path:
        """Links to the units that are started at every boot."""
        return self.units / "multi-user.target.wants"

    @property
    def timers(self) -> Path:
        """Links to the timers that are started at every boot."""
        return self.units / "timers.target.wants"

    @property
    def table(self) -> str:
        """The app's table in the machine's firewall."""
        return f"satellite-{self.app}"

    @property
    def agent(self) -> Path:
        """The program that releases and units start."""
        return self.root / AGENT.lstrip("/")

    @property
    def rubies(self) -> Path:
        """The Rubies that were built here; apps share them."""
        return self.root / "opt/rubies"

    def ruby(self, version: str) -> Path:
        """One of them."""
        return self.rubies / version

    def apt_source(self, name: str) -> Path:
        """A package source of that name; no app and no name has a dot."""
        return self.root / f"etc/apt/sources.list.d/satellite-{self.app}.{name}.sources"

    def apt_key(self, name: str) -> Path:
        """The key that signs it, as an older agent has it there."""
        return self.root / f"etc/apt/keyrings/satellite-{self.app}.{name}.asc"

    @property
    def apt_fetched(self) -> Path:
        """The package sources whose lists apt has fetched."""
        return self.state / "apt_sources"

    @property
    def apt_pins(self) -> Path:
        """At which version apt leaves the app's packages."""
        return self.root / f"etc/apt/preferences.d/satellite-{self.app}"

    @property
    def upgrades(self) -> Path:
        """How apt upgrades unattended; the machine's, whichever app said it last."""
        return self.root / "etc/apt/apt.conf.d/90satellite"

    @property
    def monit(self) -> Path:
        """What monit watches for this app, and the mail server's password."""
        return self.root / f"etc/monit/conf.d/satellite-{self.app}"

    @property
    def monit_read(self) -> Path:
        """The digest of the file that monit was started with."""
        return self.state / "monit"

    @property
    def needrestart(self) -> Path:
        """What needrestart may not restart."""
        return self.root / "etc/needrestart/conf.d/satellite.conf"

    @property
    def logrotate(self) -> Path:
        """How the app's logs are rotated."""
        return self.root / f"etc/logrotate.d/satellite-{self.app}"

    @property
    def sudoers(self) -> Path:
        """What the app's user may do as root."""
        return self.root / f"etc/sudoers.d/satellite-{self.app}"

    @property
    def visudo(self) -> Path:
        """The reader of such files; there where sudo is."""
        return self.root / "usr/sbin/visudo"

    def drop_in(self, unit: str) -> Path:
        """What is added to a unit of the system."""
        return self.units / f"{unit}.d/satellite.conf"

    # names of units: no app and no process type has a dot, so no two apps share a unit

    def worker_unit(self, type_: str, number: int, lane: int = 0) -> str:
        """The unit of one worker; `lane`: beside how many others of its slot it may run."""
        return f"satellite-{self.app}.{type_}@{instance(number, lane)}.service"

    def slot(self, unit: str) -> tuple[str, int, int]:
        """The process type, number and lane of a worker's unit; number 0 of one that is not ours.

        Anybody may start another instance of our templates.
        """
        type_, _, rest = unit.partition(".")[2].partition("@")
        with contextlib.suppress(ValueError):
            number, lane = instance_of(rest.rpartition(".")[0])
            if self.worker_unit(type_, number, lane) == unit:
                return type_, number, lane
        return type_, 0, 0

    def template_unit(self, type_: str) -> str:
        """The template unit of one process type."""
        return f"satellite-{self.app}.{type_}@.service"

    @property
    def worker_units(self) -> str:
        """A pattern for all workers' units."""
        return f"satellite-{self.app}.*@*.service"

    @property
    def target(self) -> str:
        """The unit that wants every worker, and starts them at boot."""
        return f"satellite-{self.app}.target"

    @property
    def release_unit(self) -> str:
        """The transient unit that a release runs as."""
        return f"satellite-{self.app}-release.service"

    @property
    def recover_unit(self) -> str:
        """The unit that puts things back at boot and after a kill."""
        return f"satellite-{self.app}-recover.service"

    @property
    def reap_unit(self) -> str:
        """The unit that releases the jobs of dead workers."""
        return f"satellite-{self.app}-reap.service"

    @property
    def rotate_unit(self) -> str:
        """The unit that follows the config vars on Heroku."""
        return f"satellite-{self.app}-rotate.service"

    @property
    def rotate_timer(self) -> str:
        """The timer that starts it."""
        return f"satellite-{self.app}-rotate.timer"

    @property
    def metadata_unit(self) -> str:
        """The unit that keeps the app from the instance's metadata."""
        return f"satellite-{self.app}-metadata.service"

    @property
    def queue_unit(self) -> str:
        """The unit that measures the queue once."""
        return f"satellite-{self.app}-queue.service"

    @property
    def queue_timer(self) -> str:
        """The unit that has it measured again and again."""
        return f"satellite-{self.app}-queue.timer"
