"""Release: which commit, config vars and workers a host shall run."""

from __future__ import annotations

from satellite_infra.agent.layout import AGENT
from satellite_infra.agent.release_manifest import ConfigFile, Process, ReleaseManifest
from satellite_infra.deploy import Deploy
from satellite_infra.digests import Digests
from satellite_infra.settings import Settings
from satellite_infra.ssh import Task


def release(settings: Settings, host: str, deploy: Deploy) -> Task:
    """The task that makes a host run what is deployed, by the installed agent."""
    workers = " ".join(f"{type_}={p.quantity}" for type_, p in settings.processes.items())
    return Task(
        title=f"Release {deploy.revision[:12]} of {settings.app} on {host}: {workers}",
        agent=f"{AGENT} release",
        manifest=manifest(settings, host, deploy).text(),
        secrets=secrets(settings, deploy),
    )


def release_phase(settings: Settings, host: str, deploy: Deploy) -> Task:
    """The task that runs the release phase of the revision there, by the installed agent."""
    return Task(
        title=f"Release phase of {deploy.revision[:12]} of {settings.app} on {host}",
        agent=f"{AGENT} release-phase",
        manifest=manifest(settings, host, deploy).text(),
        secrets=secrets(settings, deploy),
    )


def secrets(settings: Settings, deploy: Deploy) -> dict[str, object]:
    """What the manifest lists by digest."""
    templates = {path: file.template for path, file in settings.config_files.items()}
    webhook = settings.release_webhook
    return {
        "config": deploy.config,
        **({"config_files": templates} if templates else {}),
        **({"webhook": webhook} if webhook else {}),
    }


def manifest(settings: Settings, host: str, deploy: Deploy) -> ReleaseManifest:
    """What the host of that name shall run; holds no secret value, only their keyed digests."""
    digests, webhook = Digests.of(settings.host_key_seed), settings.release_webhook
    return ReleaseManifest(
        host=host,
        app=settings.app,
        environment=settings.environment,
        repository=settings.repository,
        revision=deploy.revision,
        processes=tuple(
            Process(type_, **p.model_dump(exclude={"alert"}))
            for type_, p in settings.processes.items()
        ),
        config=digests.each(deploy.config),
        build=settings.build,
        generation=settings.generation,
        keep_releases=settings.keep_releases,
        gate_seconds=settings.gate_seconds,
        soak_seconds=settings.soak_seconds if host in settings.live()[:1] else 0,
        health=settings.health,
        health_seconds=settings.health_seconds,
        ruby=settings.ruby.version if settings.ruby else "",
        config_files=tuple(
            ConfigFile(path, digests.one(f"config_files/{path}", f.template), f.mode, f.owner)
            for path, f in settings.config_files.items()
        ),
        webhook=digests.one("release_webhook", webhook) if webhook else "",
        inherited=deploy.inherited,
        inherited_from=settings.heroku.app if settings.heroku and deploy.inherited else "",
    )
