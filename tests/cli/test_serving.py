"""The engine finds a server at once, and the program behind it once that is loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS

from satellite_cli.serving import OPTIONS

CHECKOUT = Path(__file__).parents[2]
LOADS = """\
import sys
from pathlib import Path
from satellite_cli.reachable import Gate
from satellite_cli.serving import served
with served(Gate(None, Path()), lambda: None, {}) as address:
    print("pulumi" in sys.modules, "google.protobuf" in sys.modules)
    import grpc
    with grpc.insecure_channel(address) as channel:
        info = channel.unary_unary("/pulumirpc.LanguageRuntime/GetPluginInfo")
        print(info(b""), "pulumi" in sys.modules)
        try:
            channel.unary_unary("/pulumirpc.LanguageRuntime/Nonsense")(b"")
        except grpc.RpcError as error:
            print(error.code().name)
"""


def test_what_is_received_may_be_as_large_as_by_the_sdk_itself() -> None:
    assert {*OPTIONS} == {*_GRPC_CHANNEL_OPTIONS}


def test_it_is_there_before_the_sdk_which_the_first_call_waits_for() -> None:
    argv = [sys.executable, "-c", LOADS]
    done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["False False", "b'' True", "UNIMPLEMENTED"]


def test_what_cannot_be_loaded_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The engine would only say that nobody has answered."""
    from satellite_cli import inline
    from satellite_cli.reachable import Gate

    (tmp_path / "Pulumi.yaml").write_text("runtime: python")
    monkeypatch.setattr(inline, "SERVER", "satellite_cli.nonsense")
    inline.loading.cache_clear()
    try:
        client = inline.client(tmp_path, Gate(None, tmp_path / "answered"), {})
        assert client.__enter__()[0].startswith("--client=127.0.0.1:")
        assert inline.loading()[0].exception(60)
        with pytest.raises(ModuleNotFoundError, match="nonsense"):
            client.__exit__(None, None, None)
    finally:
        inline.loading.cache_clear()
