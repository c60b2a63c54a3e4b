"""Bootstrap: what a host shall be before any release."""

from __future__ import annotations

from satellite_infra.agent.bootstrap_manifest import (
    AptSource,
    BootstrapManifest,
    Monit,
    Queue,
    Rotation,
    Ruby,
    Watch,
)
from satellite_infra.agent_bundle import AgentBundle
from satellite_infra.digests import Digests
from satellite_infra.settings import Settings
from satellite_infra.ssh import Task


def bootstrap(settings: Settings, host: str, agent: AgentBundle) -> Task:
    """The task that prepares a host; it runs the agent that was just copied, and installs it."""
    key = settings.deploy_key
    # apart from the team's, so that no list of people can lock the deployer out
    deployer = (settings.public_key, settings.next_public_key)
    manifest = BootstrapManifest(
        host=host,
        app=settings.app,
        environment=settings.environment,
        agent=agent.digest,
        user=settings.login_user(host),
        deployer_keys=tuple(line for line in deployer if line),
        authorized_keys=settings.authorized_keys,
        apt_sources=tuple(
            AptSource(name, source.uri, source.suite, source.components, source.key)
            for name, source in settings.apt_sources.items()
        ),
        packages=settings.packages,
        known_hosts=settings.known_hosts,
        deploy_key=Digests.of(settings.host_key_seed).one("deploy_key", key) if key else "",
        app_metadata=settings.app_metadata,
        unattended_upgrades=settings.unattended_upgrades,
        ruby=Ruby(**settings.ruby.model_dump()) if settings.ruby else None,
        monit=_monit(settings),
        rotation=_rotation(settings, host),
        queue=_queue(settings, host),
    )
    return Task(
        title=f"Prepare {host} for {settings.app}",
        agent=f"python3 {agent.remote_path} bootstrap",
        manifest=manifest.text(),
        secrets={
            name: value
            for name, value in (
                ("deploy_key", key),
                ("monit_password", settings.monit_password),
                ("heroku_host_token", settings.heroku_host_token),
            )
            if value
        },
    )


def _monit(settings: Settings) -> Monit | None:
    if settings.monit is None:
        return None
    password = settings.monit_password
    digest = Digests.of(settings.host_key_seed).one("monit_password", password) if password else ""
    watches = tuple(
        Watch(type_, process.alert.memory, process.alert.cpu, process.alert.restarts or 0)
        for type_, process in settings.processes.items()
        if process.alert
    )
    return Monit(**settings.monit.model_dump(), password=digest, watches=watches)


def _rotation(settings: Settings, host: str) -> Rotation | None:
    if not settings.heroku or not settings.heroku.rotate:
        return None
    hosts = settings.every_host()  # the lost ones, too: nobody's turn moves when one is
    return Rotation(
        app=settings.heroku.app,
        minutes=settings.heroku.rotate,
        place=hosts.index(host) + 1,
        hosts=len(hosts),
        token=Digests.of(settings.host_key_seed).one(
            "heroku_host_token", settings.heroku_host_token
        ),
    )


def _queue(settings: Settings, host: str) -> Queue | None:
    if settings.queue is None or host not in settings.measuring():
        return None
    of_the_alarms = {"age_seconds", "depth", "minutes"}
    return Queue(**settings.queue.model_dump(exclude=of_the_alarms))
