"""The project's program for the engine, in this process: what a language host is, without plugin.

The only place that uses what Pulumi's SDK does not promise; `requirements.in` pins its version.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
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
from pulumi.runtime import reset_options, run_in_stack, set_all_config, stack
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import (
    LanguageRuntimeServicer,
    language_pb2,
    language_pb2_grpc,
    plugin_pb2,
)

STOPPED = ("Resource monitor has terminated", "context canceled")
"""How a program ends that the engine stops, because a resource failed and the user was told."""


class Program(LanguageRuntimeServicer):
    """Answers the engine's calls; `may_run` is asked before the program runs."""

    def __init__(self, may_run: Callable[[], bool]) -> None:
        self._may_run = may_run

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
        if not self._may_run():
            return language_pb2.RunResponse(bail=True)
        # what the SDK keeps of a run is in this copy, and goes with it
        return contextvars.copy_context().run(self._run, request)

    def _run(self, request: Any) -> Any:
        set_all_config(dict(request.config), list(request.configSecretKeys))
        reset_options(
            project=request.project,
            stack=request.stack,
            root_directory=request.info.root_directory,
            parallel=request.parallel,
            engine_address=request.args[0],
            monitor_address=request.monitor_address,
            preview=request.dryRun,
            organization=request.organization or "organization",
        )
        folder = request.info.program_directory or request.pwd
        program = str(Path(folder, request.info.entry_point or "."))
        try:
            with quick(), as_its_own(program, request.pwd), loop(request.parallel) as runs:
                runs.run_until_complete(run_in_stack(lambda: execute(program)))
        except BaseException as error:  # noqa: BLE001 - any of the program's errors
            text = told(error)
            with contextlib.suppress(Exception):  # such as an engine that has ended
                if text:
                    pulumi.log.error(text)
            return language_pb2.RunResponse(bail=True)
        return language_pb2.RunResponse()


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
    gone = isinstance(error, grpc.RpcError) and error.code() == grpc.StatusCode.UNAVAILABLE
    if gone or any(words in text for words in STOPPED):
        return ""
    if isinstance(error, pulumi.RunError):
        return text
    return f"the program failed: {type(error).__name__}: {text} (pulumi preview shows where)"


@contextlib.contextmanager
def served(may_run: Callable[[], bool]) -> Iterator[str]:
    """The address where the engine finds the program."""
    server = grpc.server(ThreadPoolExecutor(4), options=_GRPC_CHANNEL_OPTIONS)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(Program(may_run), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None)
