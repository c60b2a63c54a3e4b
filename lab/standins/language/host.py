"""The language host: the engine starts it, it starts the program in a process of its own.

What the program prints on its standard output and error reaches the engine through ours.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf import empty_pb2, json_format
from pulumi.runtime.proto import language_pb2 as lang
from pulumi.runtime.proto import language_pb2_grpc, plugin_pb2

from lab.standins.language.program import SHOWN
from lab.standins.serving import serve

RUNNER = Path(__file__).with_name("program.py")


class Host(language_pb2_grpc.LanguageRuntimeServicer):
    """The calls that `pulumi preview`, `up`, `refresh`, `destroy`, `about` and `install` make.

    Of plugins it runs policy packs, which the vendor's also tells the stack's configuration.
    """

    def __init__(self, engine_address: str) -> None:
        self._engine_address = engine_address
        self._running: set[subprocess.Popen[bytes]] = set()

    def Handshake(self, request: Any, context: Any) -> lang.LanguageHandshakeResponse:
        return lang.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=importlib.metadata.version("pulumi"))

    def GetRequiredPlugins(self, request: Any, context: Any) -> lang.GetRequiredPluginsResponse:
        return lang.GetRequiredPluginsResponse()

    def GetRequiredPackages(self, request: Any, context: Any) -> lang.GetRequiredPackagesResponse:
        """None: the engine then looks up each provider by the version sent with the resource."""
        return lang.GetRequiredPackagesResponse()

    def RuntimeOptionsPrompts(self, request: Any, context: Any) -> lang.RuntimeOptionsResponse:
        return lang.RuntimeOptionsResponse()

    def About(self, request: Any, context: Any) -> lang.AboutResponse:
        return lang.AboutResponse(
            executable=interpreter(request.info), version=sys.version.split()[0]
        )

    def GetProgramDependencies(
        self, request: Any, context: Any
    ) -> lang.GetProgramDependenciesResponse:
        return lang.GetProgramDependenciesResponse(
            dependencies=[
                lang.DependencyInfo(name=found.metadata["Name"], version=found.version)
                for found in importlib.metadata.distributions()
            ]
        )

    def InstallDependencies(
        self, request: Any, context: Any
    ) -> Iterator[lang.InstallDependenciesResponse]:
        yield lang.InstallDependenciesResponse(stdout=b"dependencies are installed already\n")

    def RunPlugin(self, request: Any, context: Any) -> Iterator[lang.RunPluginResponse]:
        """Run a policy pack until the engine hangs up; the first line of its output is its port."""
        folder = request.info.program_directory
        process = subprocess.Popen(
            [interpreter(request.info), "-u", "-m", "pulumi.policy", *request.args, folder],
            cwd=folder,
            env={**os.environ, **dict(entry.split("=", 1) for entry in request.env)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        self._running.add(process)
        context.add_callback(process.terminate)
        for line in process.stdout or ():
            yield lang.RunPluginResponse(stdout=line)
        status = process.wait()
        self._running.discard(process)
        yield lang.RunPluginResponse(exitcode=status)

    def Run(self, request: Any, context: Any) -> lang.RunResponse:
        program = Path(request.info.program_directory or request.pwd) / (
            request.info.entry_point or "."
        )
        if not program.exists():
            return lang.RunResponse(error=f"no program at {program}")
        status = self._run(
            [interpreter(request.info), "-u", str(RUNNER)], self._job(program, request), context
        )
        if status == SHOWN:
            return lang.RunResponse(bail=True)
        error = f"program exited with non-zero exit code: {status}" if status else ""
        return lang.RunResponse(error=error)

    def Cancel(self, request: Any, context: Any) -> empty_pb2.Empty:
        for process in list(self._running):
            process.send_signal(signal.SIGINT)
        return empty_pb2.Empty()

    def _job(self, program: Path, request: Any) -> dict[str, Any]:
        """What program.py is told, as JSON: what to run, with which configuration, for whom."""
        return {
            "program": os.path.normpath(program),
            "args": list(request.args),
            "pwd": request.pwd,
            "config": dict(request.config),
            "secret_keys": list(request.configSecretKeys),
            "options": {
                "project": request.project,
                "stack": request.stack,
                "root_directory": request.info.root_directory,
                "parallel": request.parallel,
                "engine_address": self._engine_address,
                "monitor_address": request.monitor_address,
                "preview": request.dryRun,
                "organization": request.organization or "organization",
            },
        }

    def _run(self, command: list[str], job: dict[str, Any], context: Any) -> int:
        # a file with mode 0600: the configuration holds secrets, and the program owns its stdin
        with tempfile.NamedTemporaryFile("w", prefix="pulumi-run-") as file:
            json.dump(job, file)
            file.flush()
            process = subprocess.Popen([*command, file.name], stdin=subprocess.DEVNULL)
            self._running.add(process)

            def interrupt() -> None:  # the engine hangs up when a resource has failed
                if process.poll() is None:
                    process.send_signal(signal.SIGINT)

            context.add_callback(interrupt)
            status = process.wait()
            self._running.discard(process)
            return status


def interpreter(info: Any) -> str:
    """The Python that runs the program: the project's `virtualenv` if it names one, else PATH's."""
    options = json_format.MessageToDict(info.options)
    if name := options.get("virtualenv"):
        python = Path(info.root_directory) / str(name) / "bin" / "python"
        if python.exists():
            return str(python)
    return shutil.which("python3") or sys.executable


def main(engine_address: str) -> None:
    """Be a plugin process until told to stop."""
    host = Host(engine_address)
    serve(lambda server: language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server))
