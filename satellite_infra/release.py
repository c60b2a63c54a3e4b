"""Release: which commit, config vars and workers a host shall run."""

from __future__ import annotations

from satellite_infra.agent.layout import AGENT
from satellite_infra.agent.manifest import Process, ReleaseManifest
from satellite_infra.digests import Digests
from satellite_infra.settings import Settings
from satellite_infra.ssh import Task


def release(settings: Settings, host: str, revision: str) -> Task:
    """The task that makes a host run the revision, by the installed agent."""
    workers = " ".join(f"{type_}={p.quantity}" for type_, p in settings.processes.items())
    return Task(
        title=f"Release {revision[:12]} of {settings.app} on {host}: {workers}",
        agent=f"{AGENT} release",
        manifest=manifest(settings, host, revision).text(),
        secrets=_secrets(settings),
    )


def release_phase(settings: Settings, host: str, revision: str) -> Task:
    """The task that runs the release phase of the revision there, by the installed agent."""
    return Task(
        title=f"Release phase of {revision[:12]} of {settings.app} on {host}",
        agent=f"{AGENT} release-phase",
        manifest=manifest(settings, host, revision).text(),
        secrets=_secrets(settings),
    )


def manifest(settings: Settings, host: str, revision: str) -> ReleaseManifest:
    """What the host of that name shall run; holds no secret value, only their keyed digests."""
    digests, webhook = Digests.of(settings.host_key_seed), settings.release_webhook
    return ReleaseManifest(
        host=host,
        app=settings.app,
        environment=settings.environment,
        repository=settings.repository,
        revision=revision,
        processes=tuple(
            Process(type_, **p.model_dump(exclude={"alert"}))
            for type_, p in settings.processes.items()
        ),
        config=digests.each(settings.config),
        build=settings.build,
        generation=settings.generation,
        keep_releases=settings.keep_releases,
        gate_seconds=settings.gate_seconds,
        soak_seconds=settings.soak_seconds if host in settings.live()[:1] else 0,
        health=settings.health,
        health_seconds=settings.health_seconds,
        ruby=settings.ruby.version if settings.ruby else "",
        webhook=digests.one("release_webhook", webhook) if webhook else "",
    )


def _secrets(settings: Settings) -> dict[str, object]:
    webhook = settings.release_webhook
    return {"config": settings.config, **({"webhook": webhook} if webhook else {})}
