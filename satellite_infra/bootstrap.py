"""Bootstrap: what a host shall be before any release."""

from __future__ import annotations

from satellite_infra.agent.manifest import BootstrapManifest
from satellite_infra.agent_bundle import AgentBundle
from satellite_infra.digests import Digests
from satellite_infra.settings import Settings
from satellite_infra.ssh import Task


def bootstrap(settings: Settings, host: str, agent: AgentBundle) -> Task:
    """The task that prepares a host; it runs the agent that was just copied, and installs it."""
    key = settings.deploy_key
    existing = settings.existing().get(host)
    # the deployer's own keys are among them, so that no list of people can lock it out
    logins = (settings.public_key, settings.next_public_key, *settings.authorized_keys)
    manifest = BootstrapManifest(
        host=host,
        app=settings.app,
        environment=settings.environment,
        agent=agent.digest,
        user=(existing and existing.user) or settings.ssh_user,
        authorized_keys=tuple(line for line in logins if line),
        packages=settings.packages,
        known_hosts=settings.known_hosts,
        deploy_key=Digests.of(settings.host_key_seed).one("deploy_key", key) if key else "",
        app_metadata=settings.app_metadata,
    )
    return Task(
        title=f"Prepare {host} for {settings.app}",
        agent=f"python3 {agent.remote_path} bootstrap",
        manifest=manifest.text(),
        secrets={"deploy_key": key} if key else {},
    )
