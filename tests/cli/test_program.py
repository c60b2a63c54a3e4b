"""What a program that runs in this process asks of the engine, and when."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    language_pb2,
    language_pb2_grpc,
    resource_pb2,
    resource_pb2_grpc,
)
from pulumi_aws import _utilities

from satellite_cli.noted import Order
from satellite_cli.reachable import Check, Found, Gate
from satellite_cli.serving import served
from satellite_cli.update import ROOT

from .conftest import COMMIT

ONE, TOPIC = "test:index:One", "aws:sns/topic:Topic"
PROGRAM = f"""\
import pulumi, pulumi_aws

pulumi.export("account", pulumi_aws.get_caller_identity().account_id)
pulumi.ComponentResource("{ONE}", "one")
for name in ("topic", "other"):
    pulumi_aws.sns.Topic(name)
"""
LOOKS = "aws:index/getCallerIdentity:getCallerIdentity"
WAKES = "aws:index/getPartition:getPartition"
WAS = "pulumi:pulumi:readStackOutputs"
BROKEN = """\
import pulumi
pulumi.runtime.invoke("pulumi:pulumi:readStackOutputs", {"name": "acme/shop/staging"})
raise pulumi.RunError("it is not right")
"""


class Engine(engine_pb2_grpc.EngineServicer, resource_pb2_grpc.ResourceMonitorServicer):
    """Makes nothing, and notes what it is asked for."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.topics: list[Any] = []
        self.asked: list[Any] = []
        self.said: list[str] = []
        self.outputs: dict[str, Any] = {}
        self.before: dict[str, Any] = {}
        self.unheard = False
        self.under_way = threading.Semaphore(0)

    def Log(self, request: Any, context: Any) -> Any:
        self.said.append(request.message)
        return empty_pb2.Empty()

    def SetRootResource(self, request: Any, context: Any) -> Any:
        return engine_pb2.SetRootResourceResponse()

    def GetDeploymentInfo(self, request: Any, context: Any) -> Any:
        return resource_pb2.DeploymentInfo()

    def RegisterResource(self, request: Any, context: Any) -> Any:
        self.made.append(request.type)
        self.topics += [request] if request.type == TOPIC else []
        self.under_way.release()
        return resource_pb2.RegisterResourceResponse(
            urn=f"urn:pulumi:staging::shop::{request.type}::{request.name}"
        )

    def RegisterResourceOutputs(self, request: Any, context: Any) -> Any:
        self.made.append("outputs")
        self.outputs = dict(request.outputs.fields)
        return empty_pb2.Empty()

    def SignalAndWaitForShutdown(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        self.asked.append(request)
        self.under_way.release()
        if request.tok == WAS and self.unheard:
            context.abort(grpc.StatusCode.UNKNOWN, "no stack of that name")
        answer = struct_pb2.Struct()
        answer.update({"outputs": self.before} if request.tok == WAS else {})
        answer.update(dict.fromkeys(("accountId", "arn", "id", "userId"), "1"))
        return resource_pb2.ResourceInvokeResponse(**{"return": answer})

    def questions(self) -> list[str]:
        """What it was asked, without making anything."""
        return sorted(request.tok for request in self.asked)

    @contextmanager
    def runs(self, folder: Path, gate: Gate, order: Order | None = None) -> Iterator[Any]:
        """Run the program of that folder; the answer."""
        server = grpc.server(ThreadPoolExecutor(16))
        engine_pb2_grpc.add_EngineServicer_to_server(self, server)
        resource_pb2_grpc.add_ResourceMonitorServicer_to_server(self, server)
        own = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        place = str(folder)
        asks = language_pb2.RunRequest(
            project="shop",
            stack="staging",
            organization="acme",
            pwd=place,
            info=language_pb2.ProgramInfo(
                root_directory=place, program_directory=place, entry_point="."
            ),
            args=[own],
            config={"satellite:private_key": "canary"},
            configSecretKeys=["satellite:private_key"],
            monitor_address=own,
            parallel=8,
        )
        with (
            served(gate, lambda: None, order or {}) as address,
            grpc.insecure_channel(address) as channel,
        ):
            call = language_pb2_grpc.LanguageRuntimeStub(channel).Run
            yield call.future(asks)
        server.stop(None)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "__main__.py").write_text(PROGRAM)
    return folder


@contextmanager
def closing(hosts: Future[Found]) -> Iterator[None]:
    """Nothing waits for them for ever, should the test fail."""
    try:
        yield
    finally:
        hosts.cancel()


def under_way(engine: Engine, calls: int) -> None:
    """Wait until the engine was asked so often."""
    for _ in range(calls):
        assert engine.under_way.acquire(timeout=60), (engine.made, engine.questions(), engine.said)


@pytest.mark.parametrize("silent", [{}, {"worker-1": "Connection refused"}])
def test_nothing_is_made_before_the_hosts_have_answered(
    project: Path, tmp_path: Path, silent: dict[str, str]
) -> None:
    engine, told, hosts = Engine(), Future[Any](), Future[Found]()

    def ask(settings: dict[str, Any], _: Any) -> Found:
        told.set_result(settings)
        return hosts.result()

    gate = Gate(Check(ask=ask), tmp_path / "answered")
    with closing(hosts), engine.runs(project, gate) as ended:
        # by then the program waits with all that it has
        under_way(engine, 3)
        assert told.result(60) == {"satellite:private_key": {"value": "canary"}}
        assert engine.made == [ROOT]
        assert engine.questions() == [LOOKS, WAKES]
        assert not (tmp_path / "answered").exists()
        hosts.set_result(Found(silent, ["192.0.2.1 22 key"], at=1000))
        answer = ended.result(60)
    assert engine.said == []
    if silent:
        assert (answer.bail, engine.made) == (True, [ROOT])
    else:
        assert not answer.bail
        assert (engine.made[0], {*engine.made}) == (ROOT, {ROOT, ONE, TOPIC, "outputs"})
        assert (tmp_path / "answered").read_text() == "192.0.2.1 22 key\n"
        assert (tmp_path / "answered").stat().st_mtime == 1000


def test_the_commit_is_the_programs_own_word(project: Path, tmp_path: Path) -> None:
    """The engine's log would hide a part of it that is like a secret."""
    gate, engine = Gate(None, tmp_path / "answered"), Engine()
    for revision in (COMMIT, ""):
        export = f"pulumi.export('revision', '{revision}')" if revision else ""
        (project / "__main__.py").write_text(f"import pulumi\n{export}\n")
        with engine.runs(project, gate) as ended:
            assert not ended.result(60).bail, engine.said
        assert gate.revision == revision
        assert list(engine.outputs) == (["revision"] if revision else [])


def test_the_provider_that_is_woken_is_the_one_that_resources_use(
    project: Path, tmp_path: Path
) -> None:
    engine = Engine()
    with engine.runs(project, Gate(None, tmp_path / "answered")) as ended:
        assert not ended.result(60).bail, engine.said
        under_way(engine, 6)
    assert engine.questions() == [LOOKS, WAKES]
    (woken,) = (request for request in engine.asked if request.tok == WAKES)
    for used in engine.topics:
        assert woken.version == used.version == _utilities.get_version()  # type: ignore[no-untyped-call]
        assert woken.pluginDownloadURL == used.pluginDownloadURL
        assert woken.packageRef == used.packageRef


@pytest.mark.parametrize("unheard", [False, True])
def test_the_outputs_of_the_last_update_are_the_engines_to_tell(
    project: Path, tmp_path: Path, unheard: bool
) -> None:
    """Empty where it does not know them by the stack's name: then the CLI is asked."""
    told, engine = Future[str](), Engine()
    engine.before, engine.unheard = {"revision": COMMIT, "hosts": [{"lost": False}]}, unheard

    def ask(_: Any, outputs: Any) -> Found:
        told.set_result(outputs())
        return Found()

    with engine.runs(project, Gate(Check(ask=ask), tmp_path / "answered")) as ended:
        assert not ended.result(60).bail, engine.said
    assert (json.loads(told.result(60)) if not unheard else told.result(60)) == (
        "" if unheard else engine.before
    )
    (asked,) = (request for request in engine.asked if request.tok == WAS)
    assert asked.args.fields["name"].string_value == "acme/shop/staging"


def test_without_a_resource_there_nobody_is_woken(project: Path, tmp_path: Path) -> None:
    (project / "__main__.py").write_text(f"import pulumi\npulumi.ComponentResource('{ONE}', 'x')\n")
    engine = Engine()
    with engine.runs(project, Gate(None, tmp_path / "answered")) as ended:
        assert not ended.result(60).bail, engine.said
    assert (engine.asked, engine.made.count(ONE)) == ([], 1)


def test_what_is_wrong_with_the_settings_is_told_and_nobody_is_woken_for_it(
    project: Path, tmp_path: Path
) -> None:
    """An error of the provider, such as a wrong credential, would take its place.

    Nor where the program has heard that there are instances: what it makes of that comes first.
    """
    (project / "__main__.py").write_text(BROKEN)
    engine, found = Engine(), Found({}, (), at=1)
    gate = Gate(Check(ask=lambda *_: found), tmp_path / "answered")
    with engine.runs(project, gate) as ended:
        assert ended.result(60).bail
    assert (engine.said, engine.questions()) == (["it is not right"], [WAS])
    assert not {ONE, TOPIC} & {*engine.made}


def test_what_hung_on_another_resource_at_the_last_update_waits_for_it(
    project: Path, tmp_path: Path
) -> None:
    """Through what is not there any more, too; not for what the program declares later."""
    lines = [
        "import pulumi_aws",
        "for name in ('a', 'b', 'c', 'd'):",
        "    pulumi_aws.sns.Topic(name)",
    ]
    (project / "__main__.py").write_text("\n".join(lines))
    hung = {
        "a": ["d", "a"],
        "c": ["gone", "b"],
        "gone": ["a", "lost"],
        "lost": ["gone"],
        "d": ["c"],
    }
    order = {(TOPIC, name): [(TOPIC, on) for on in names] for name, names in hung.items()}
    engine = Engine()
    with engine.runs(project, Gate(None, tmp_path / "answered"), order) as ended:
        assert not ended.result(60).bail, engine.said
    found = {one.name: {urn[-1] for urn in one.dependencies} for one in engine.topics}
    assert found == {"a": set(), "b": set(), "c": {"a", "b"}, "d": {"c"}}
