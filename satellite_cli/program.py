"""The project's program for the engine, in this process: what a language host is, without plugin.

The only place that uses what Pulumi's SDK does not promise; `requirements.in` pins its version.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import logging
import runpy
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pulumi
from google.protobuf import json_format
from pulumi.runtime import (
    register_stack_transformation,
    reset_options,
    run_in_stack,
    set_all_config,
    stack,
)
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import (
    LanguageRuntimeServicer,
    language_pb2,
    language_pb2_grpc,
    plugin_pb2,
    resource_pb2,
    resource_pb2_grpc,
)

from satellite_cli.noted import Key, Order
from satellite_cli.reachable import Gate
from satellite_cli.update import ROOT
from satellite_infra import naming

QUESTIONS = ("GetDeploymentInfo", "SupportsFeature", "Invoke")
STOPPED = ("Resource monitor has terminated", "context canceled")
"""How a program ends that the engine stops, because a resource failed and the user was told."""


class Program(LanguageRuntimeServicer):
    """Answers the engine's calls; `ready` returns once the program can run."""

    def __init__(self, gate: Gate, ready: Callable[[], None], order: Order) -> None:
        self._gate, self._ready, self._order = gate, ready, order

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        """No plugin: it has no version."""
        return plugin_pb2.PluginInfo()

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:
        """None: the engine looks up each provider by the version that is sent with a resource."""
        return language_pb2.GetRequiredPackagesResponse()

    def GetRequiredPlugins(self, request: Any, context: Any) -> Any:
        """The same, of an older engine."""
        return language_pb2.GetRequiredPluginsResponse()

    def Run(self, request: Any, context: Any) -> Any:
        """Run the program once; its error has been told by then."""
        channel = grpc.insecure_channel(request.monitor_address, options=_GRPC_CHANNEL_OPTIONS)
        monitor = resource_pb2_grpc.ResourceMonitorStub(channel)
        self._gate.told(
            lambda: {key: {"value": value} for key, value in request.config.items()},
            lambda: outputs_before(monitor, request),
        )
        self._ready()
        # what the SDK keeps of a run is in this copy, and goes with it
        return contextvars.copy_context().run(self._run, request, channel)

    def _run(self, request: Any, channel: grpc.Channel) -> Any:
        gated = grpc.intercept_channel(channel, _Gated(self._gate))
        monitor: Any = resource_pb2_grpc.ResourceMonitorStub(gated)
        set_all_config(dict(request.config), list(request.configSecretKeys))
        reset_options(
            project=request.project,
            stack=request.stack,
            root_directory=request.info.root_directory,
            parallel=request.parallel,
            engine_address=request.args[0],
            monitor_address=monitor,
            preview=request.dryRun,
            organization=request.organization or "organization",
        )
        folder = request.info.program_directory or request.pwd
        program = str(Path(folder, request.info.entry_point or "."))

        def start() -> None:
            register_stack_transformation(Waker(monitor))
            register_stack_transformation(InOrder(self._order))
            execute(program)

        try:
            with quick(), as_its_own(program, request.pwd), loop(request.parallel) as runs:
                runs.run_until_complete(run_in_stack(start))
        except BaseException as error:  # noqa: BLE001 - any of the program's errors
            with contextlib.suppress(Exception):  # such as an engine that has ended
                if text := told(error):
                    pulumi.log.error(text)
            return language_pb2.RunResponse(bail=True)
        return language_pb2.RunResponse()


def outputs_before(monitor: Any, run: Any) -> str:
    """The outputs of the last update, as the CLI tells them; empty where the engine does not."""
    name = f"{run.organization or 'organization'}/{run.project}/{run.stack}"
    question = resource_pb2.ResourceInvokeRequest(tok=naming.STACK_OUTPUTS, args={"name": name})
    try:
        answer = getattr(monitor.Invoke(question), "return")
        return json.dumps(json_format.MessageToDict(answer).get("outputs", {}))
    except grpc.RpcError:  # a backend without projects does not know it by this name
        return ""


class _Gated(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    """Calls wait at the gate, but for what makes nothing: questions, and the stack itself."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        """Make the call, or do not return from it."""
        verb = details.method.rpartition("/")[2]
        asks = verb in QUESTIONS
        if verb == "RegisterResourceOutputs" and f"::{ROOT}::" in request.urn:
            said = request.outputs.fields
            self._gate.revision = said["revision"].string_value if "revision" in said else ""
        if not asks and getattr(request, "type", "") != ROOT and not self._gate.passed():
            raise RefusedError
        return continuation(details, request)


class RefusedError(Exception):
    """A host does not answer, and nothing may be done."""


class Waker:
    """Has the engine start the provider for AWS, which takes longer than all hosts to answer.

    By a question that the provider answers by itself, as soon as the program makes something there:
    what can be wrong with the settings has been found by then. Not sooner: the engine notes the
    provider as the settings have it, and its error would stand in the place of the program's own.
    """

    def __init__(self, monitor: Any) -> None:
        self._monitor, self._woken = monitor, False

    def __call__(self, made: pulumi.ResourceTransformationArgs) -> None:
        """See a resource that is about to be made."""
        if made.type_.startswith("aws:") and not self._woken:
            self._woken = True
            threading.Thread(target=self._wake, args=(made.opts,), daemon=True).start()

    def _wake(self, like: pulumi.ResourceOptions) -> None:
        question = resource_pb2.ResourceInvokeRequest(
            tok="aws:index/getPartition:getPartition",
            version=like.version or "",  # with another one it would be another provider
            pluginDownloadURL=like.plugin_download_url or "",
            acceptResources=True,
        )
        with contextlib.suppress(grpc.RpcError):  # the resource has the same error
            self._monitor.Invoke(question)


class InOrder:
    """Has each resource wait for what it hung on at the last update, too.

    In an update with targets the engine takes for made whatever an untargeted resource hung on,
    and has that made twice (`Duplicate resource URN`) where the program, which lets it hang on that
    no more, makes it later: after a roll, with a host lost, with other batches.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._made: dict[Key, pulumi.Resource] = {}

    def __call__(
        self, made: pulumi.ResourceTransformationArgs
    ) -> pulumi.ResourceTransformationResult | None:
        """See a resource that is about to be made."""
        key = made.type_, made.name
        before = [self._made[needed] for needed in self._before(key)]
        self._made[key] = made.resource
        if not before:
            return None
        more = pulumi.ResourceOptions(depends_on=before)
        opts = pulumi.ResourceOptions.merge(made.opts, more)
        return pulumi.ResourceTransformationResult(made.props, opts)

    def _before(self, key: Key) -> Iterator[Key]:
        """What it hung on, of what the program has declared by now: it waits for nothing later.

        What that hung on itself it waits for; through what is not there any more, this one does.
        """
        seen, left = {key}, [*self._order.get(key, ())]
        while left:
            needed = left.pop()
            if needed in seen:
                continue
            seen.add(needed)
            if needed in self._made:
                yield needed
            else:
                left += self._order.get(needed, ())


def execute(program: str) -> None:
    """Run the folder or file as `python PROGRAM` would."""
    runpy.run_path(program, run_name="__main__")


@contextlib.contextmanager
def as_its_own(program: str, folder: str) -> Iterator[None]:
    """As in a process of its own: its folder, its output, and modules of its own that end with it.

    What it prints goes to standard error, where the engine's language host has it go, too.
    """
    before, real, argv = set(sys.modules), sys.stdout, sys.argv
    sys.stdout, sys.argv = _MainThreads(real), [program]
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        sys.stdout, sys.argv = real, argv
        for name in set(sys.modules) - before:
            path = getattr(sys.modules[name], "__file__", None)
            if path and Path(path).is_relative_to(folder) and "site-packages" not in path:
                del sys.modules[name]


class _MainThreads:
    """Standard output for the main thread; the program runs in another one."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        main = threading.current_thread() is threading.main_thread()
        return getattr(self._real if main else sys.stderr, name)


@contextlib.contextmanager
def quick() -> Iterator[None]:
    """The SDK without what it does for nobody, and again and again.

    It tells the engine, and waits for it, five times a resource what nobody is shown. And at the
    end it waits for the first of all values, then for the first of all others, and so on, which
    grows with the square of the hosts; their first error, or their end, is what it wants to know.
    """
    debug, its = pulumi.log.debug, vars(stack)
    pulumi.log.debug = lambda *_, **__: None
    once = {**vars(asyncio), "FIRST_COMPLETED": asyncio.FIRST_EXCEPTION}
    its["asyncio"] = SimpleNamespace(**once)
    try:
        yield
    finally:
        pulumi.log.debug, its["asyncio"] = debug, asyncio


@contextlib.contextmanager
def loop(parallel: int) -> Iterator[asyncio.AbstractEventLoop]:
    """One with enough threads; what a failed run leaves is cancelled, and nobody hears of it."""
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    runs = asyncio.new_event_loop()
    asyncio.set_event_loop(runs)  # of this thread
    threads = ThreadPoolExecutor(max(parallel, 1) * 4)
    runs.set_default_executor(threads)
    runs.set_exception_handler(lambda *_: None)
    try:
        yield runs
    finally:
        left = asyncio.all_tasks(runs)
        for task in left:
            task.cancel()
        runs.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        threads.shutdown(wait=False, cancel_futures=True)
        asyncio.set_event_loop(None)
        runs.close()


def told(error: BaseException) -> str:
    """What the user is told of the program's error; nothing where a resource said it already."""
    text = str(error)
    if isinstance(error, RefusedError):
        return ""  # the check says it
    gone = isinstance(error, grpc.RpcError) and error.code() == grpc.StatusCode.UNAVAILABLE
    if gone or any(words in text for words in STOPPED):
        return ""
    if isinstance(error, pulumi.RunError):
        return text
    return f"the program failed: {type(error).__name__}: {text} (pulumi preview shows where)"


def handler(gate: Gate, ready: Callable[[], None], order: Order) -> grpc.GenericRpcHandler:
    """What handles the engine's calls."""
    found: list[grpc.GenericRpcHandler] = []
    server = SimpleNamespace(
        add_generic_rpc_handlers=found.extend, add_registered_method_handlers=lambda *_: None
    )
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(Program(gate, ready, order), server)
    (only,) = found
    return only
