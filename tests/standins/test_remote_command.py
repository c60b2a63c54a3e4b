"""The command provider's remote command, as the engine sees it; measured on the vendor's 1.2.1."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from tests.ssh_agent import ssh_agent
from tests.standins.project import Made, Project, interrupt, ref, secret
from tests.standins.ssh_server import SshServer

pytestmark = pytest.mark.engine

CANARY = "canary-9f31c2"
MISMATCH = "ssh: handshake failed: ssh: host key mismatch"


def command(name: str, ssh: SshServer, options: Any = None, **arguments: Any) -> Made:
    """A remote command on the test's server."""
    given = {"connection": ssh.connection(), **arguments}
    return Made(name, "pulumi_command.remote.Command", given, options or {})


def log(ssh: SshServer) -> list[str]:
    """What the commands of a test wrote to the file `log`."""
    path = ssh.home / "log"
    return path.read_text().splitlines() if path.exists() else []


def test_created_once_then_again_for_any_changed_input(project: Project, ssh: SshServer) -> None:
    project.declare(command("cmd", ssh, create="echo one >>log; echo said", stdin="x"))
    assert project.up().steps == {"cmd": ["create"]}
    state = project.state()["cmd"]["outputs"]
    assert (state["stdout"], state["stderr"]) == ("said", "")

    logins = ssh.logins
    again = project.up()
    assert (again.status, again.steps) == (0, {})
    assert ssh.logins == logins

    project.declare(command("cmd", ssh, create="echo two >>log", stdin="x"))
    changed = project.up()
    assert (changed.steps, changed.paths) == ({"cmd": ["update"]}, {"cmd": ["create"]})
    project.declare(command("cmd", ssh, create="cat >>log", stdin="y\n"))
    changed = project.up()
    assert (changed.steps, changed.paths) == ({"cmd": ["update"]}, {"cmd": ["create", "stdin"]})
    project.declare(
        command(
            "cmd", ssh, connection=ssh.connection(user="other"), create="cat >>log", stdin="y\n"
        )
    )
    changed = project.up()
    assert (changed.steps, changed.paths) == ({"cmd": ["update"]}, {"cmd": ["connection"]})
    assert log(ssh) == ["one", "two", "y", "y"]

    assert project.refresh().steps == {}
    assert project.destroy().steps == {"cmd": ["delete"]}
    assert log(ssh) == ["one", "two", "y", "y"]


def test_changed_trigger_creates_the_new_before_it_deletes_the_old(
    project: Project, ssh: SshServer
) -> None:
    def declare(trigger: str) -> None:
        project.declare(
            command(
                "cmd",
                ssh,
                create=f"echo create {trigger} >>log",
                delete=f"echo delete {trigger} >>log",
                triggers=[trigger],
            )
        )

    declare("a")
    project.up()
    declare("b")
    replaced = project.up()
    assert replaced.steps == {"cmd": ["create-replacement", "replace", "delete-replaced"]}
    assert replaced.paths == {"cmd": ["create", "delete", "triggers[0]"]}
    project.destroy()
    assert log(ssh) == ["create a", "create b", "delete a", "delete b"]


def test_a_command_with_only_delete_connects_for_nothing_else(
    project: Project, ssh: SshServer
) -> None:
    drain = command("drain", ssh, delete="echo drained >>log", triggers=["m1"])
    project.declare(drain)
    assert project.up().steps == {"drain": ["create"]}
    changed = {**drain.arguments, "connection": ssh.connection(user="other")}
    project.declare(Made(drain.name, drain.kind, changed))
    assert project.up().steps == {"drain": ["update"]}
    assert ssh.logins == 0

    project.declare()
    assert project.up().steps == {"drain": ["delete"]}
    assert (ssh.logins, log(ssh)) == (1, ["drained"])


def test_update_runs_with_the_output_before_in_its_environment_where_sshd_allows(
    project: Project, ssh: SshServer
) -> None:
    ssh.accept_env = {"PULUMI_COMMAND_STDOUT"}
    create, update = "echo first", 'echo "was <$PULUMI_COMMAND_STDOUT>"'
    project.declare(command("cmd", ssh, create=create, update=update, stdin="1"))
    project.up()
    project.declare(command("cmd", ssh, create=create, update=update, stdin="2"))
    project.up()
    assert project.state()["cmd"]["outputs"]["stdout"] == "was <first>"

    project.declare(
        command(
            *("cmd", ssh),
            create=create,
            update=update,
            stdin="3",
            add_previous_output_in_env=False,
        )
    )
    project.up()
    assert project.state()["cmd"]["outputs"]["stdout"] == "was <>"


def test_an_environment_that_sshd_refuses_fails_the_command(
    project: Project, ssh: SshServer
) -> None:
    project.declare(
        command("cmd", ssh, create="echo $GREETING >>log", environment={"GREETING": "hi"})
    )
    refused = project.up()
    assert refused.status == 1
    assert refused.errors == [
        "Unable to set 'GREETING'. This only works if your SSH server is configured to accept "
        "these variables via AcceptEnv.",
        'could not set environment variable "GREETING": ssh: setenv failed',
    ]
    assert (log(ssh), project.state()) == ([], {})

    ssh.accept_env = {"GREETING"}
    assert project.up().steps == {"cmd": ["create"]}
    assert log(ssh) == ["hi"]


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        ("exit 7", "Process exited with status 7"),
        ("kill -TERM $$", "Process exited with status 143 from signal TERM"),
    ],
)
def test_a_failure_carries_the_commands_text_and_output(
    project: Project, ssh: SshServer, ending: str, said: str
) -> None:
    text = f'echo "to out"\necho "to err" >&2\n{ending}\n'
    project.declare(command("cmd", ssh, create=text, logging="none"))
    failed = project.up()
    (error,) = failed.errors
    head, _, output = error.partition(":\n")
    assert failed.status == 1
    assert head == f"{said}: running {json.dumps(text)}"
    assert sorted(output.splitlines()) == ["to err", "to out"]
    assert project.state() == {}  # a failed create is tried again


def test_a_failed_update_keeps_the_old_inputs(project: Project, ssh: SshServer) -> None:
    project.declare(command("cmd", ssh, create="echo good >>log"))
    project.up()
    project.declare(command("cmd", ssh, create="exit 1"))
    assert project.up().status == 1
    assert project.state()["cmd"]["inputs"]["create"] == "echo good >>log"
    project.declare(command("cmd", ssh, create="echo good >>log"))
    assert project.up().steps == {}
    assert log(ssh) == ["good"]


def test_secrets_stay_secret(project: Project, ssh: SshServer) -> None:
    def declare(canary: str) -> None:
        project.declare(command("cmd", ssh, create="cat >>log", stdin=secret(canary)))

    declare(CANARY)
    key = str(ssh.connection()["private_key"]).splitlines()[1]
    shown = [project.preview("--diff").text, project.up("--diff").text]
    assert log(ssh) == [CANARY]
    kept = project.state_text()
    declare("another " + CANARY)
    changed = project.preview("--diff")
    assert changed.paths == {"cmd": ["stdin"]}
    lines = [line.strip() for line in changed.text.splitlines()]
    assert "~ stdin: [secret] => [secret]" in lines
    text = "\n".join([*shown, changed.text, kept, project.cli("stack", "export")])
    assert [word for word in (CANARY, key) if word in text] == []

    project.declare(
        command(
            "cmd",
            ssh,
            create="cat >>log",
            stdin=secret(CANARY),
            connection=ssh.connection(user="other"),
        )
    )
    changed = project.preview("--diff")
    lines = [line.strip() for line in changed.text.splitlines()]
    assert "~ connection: [secret] => [secret]" in lines
    assert key not in changed.text


def test_a_secret_stdin_does_not_make_the_output_secret_unless_told_to(
    project: Project, ssh: SshServer
) -> None:
    arguments = {"create": "cat", "stdin": secret(CANARY), "logging": "none"}
    project.declare(
        command("open", ssh, **arguments),
        command("closed", ssh, {"additional_secret_outputs": ["stdout"]}, **arguments),
    )
    project.up()
    state = project.state()
    assert state["open"]["outputs"]["stdout"] == CANARY
    assert "ciphertext" in state["closed"]["outputs"]["stdout"]


def test_a_preview_of_a_create_shows_no_value_that_is_not_known(
    project: Project, ssh: SshServer
) -> None:
    project.declare(
        command("first", ssh, create="echo 1"),
        command("second", ssh, create=ref("first", "stdout"), triggers=[ref("first", "id")]),
    )
    shown = project.preview("--diff")
    assert shown.steps == {"first": ["create"], "second": ["create"]}
    lines = [" ".join(line.split()) for line in shown.text.splitlines()]
    assert "create : [unknown]" in lines
    assert "connection: [secret]" in lines
    assert ssh.logins == 0


def test_each_difference_is_told_by_its_path(project: Project, ssh: SshServer) -> None:
    before = {"environment": {"KEPT": "1", "CHANGED": "1", "GONE": "1"}, "triggers": ["a", "b"]}
    project.declare(command("cmd", ssh, **before))
    project.up()
    after = {"environment": {"KEPT": "1", "CHANGED": "2", "NEW": "1"}, "triggers": ["a", "c", "d"]}
    project.declare(command("cmd", ssh, **after))
    changed = project.preview()
    assert changed.steps == {"cmd": ["create-replacement", "replace", "delete-replaced"]}
    assert changed.paths == {
        "cmd": [
            *("environment.CHANGED", "environment.GONE", "environment.NEW"),
            *("triggers[1]", "triggers[2]"),
        ]
    }
    project.declare(command("cmd", ssh, {"ignore_changes": ["environment", "triggers"]}, **after))
    assert project.preview().steps == {}


def test_commands_run_side_by_side(project: Project, ssh: SshServer) -> None:
    meet = "touch {mine}; for _ in $(seq 200); do [ -e {other} ] && exit; sleep 0.1; done; exit 1"
    project.declare(
        command("one", ssh, create=meet.format(mine="one", other="two")),
        command("two", ssh, create=meet.format(mine="two", other="one")),
    )
    assert project.up().errors == []


def test_output_that_is_no_text_is_marked(project: Project, ssh: SshServer) -> None:
    project.declare(command("cmd", ssh, create=r"printf 'a\377b\n\n'; printf 'no end' >&2"))
    assert project.up().errors == []
    state = project.state()["cmd"]["outputs"]
    assert (state["stdout"], state["stderr"]) == ("a\N{REPLACEMENT CHARACTER}b\n", "no end")


def test_logging_none_shows_nothing_but_keeps_the_output(project: Project, ssh: SshServer) -> None:
    project.declare(
        command("loud", ssh, create="echo shout"),
        command("quiet", ssh, create="echo whisper", logging="none"),
    )
    text = project.up().text
    assert ("shout" in text, "whisper" in text) == (True, False)
    assert project.state()["quiet"]["outputs"]["stdout"] == "whisper"


def test_all_of_stdin_arrives_and_then_its_end(project: Project, ssh: SshServer) -> None:
    sent = "".join(f"line {number}\n" for number in range(20_000))
    project.declare(
        command("reads", ssh, create="cat >got; echo at the end", stdin=sent),
        command("ignores", ssh, create="exit 0", stdin=sent),
        command("none", ssh, create="cat; echo at the end"),
    )
    assert project.up().status == 0
    assert (ssh.home / "got").read_text() == sent
    assert project.state()["none"]["outputs"]["stdout"] == "at the end"


def test_another_host_key_is_refused_before_anything_runs(project: Project, ssh: SshServer) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    connection = ssh.connection(host_key=other, dial_error_limit=1)
    project.declare(command("cmd", ssh, connection=connection, create="echo ran >>log"))
    refused = project.up()
    assert (refused.status, ssh.logins, log(ssh)) == (1, 0, [])
    assert refused.errors == ["after 1 failed attempts: " + MISMATCH]


def test_without_a_host_key_no_host_is_verified(project: Project, ssh: SshServer) -> None:
    connection = ssh.connection()
    del connection["host_key"]
    project.declare(command("cmd", ssh, connection=connection, create="echo ran >>log"))
    assert project.up().steps == {"cmd": ["create"]}


def test_a_refused_key_is_tried_again_up_to_the_limit(project: Project, ssh: SshServer) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    connection = ssh.connection(private_key=stranger, dial_error_limit=2)
    project.declare(command("cmd", ssh, connection=connection, create="true"))
    failed = project.up()
    assert (ssh.refused, ssh.logins) == (3, 0)
    assert failed.errors == [
        "after 2 failed attempts: ssh: handshake failed: ssh: unable to authenticate, "
        "attempted methods [none publickey], no supported methods remain"
    ]
    assert [f"Dial {number}/2 failed: retrying" in failed.text for number in (1, 2)] == [True] * 2


def test_a_dial_error_limit_of_n_is_n_plus_one_attempts(project: Project, ssh: SshServer) -> None:
    times: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            while len(times) < 4:
                listener.accept()[0].close()
                times.append(time.monotonic())

        thread = threading.Thread(target=hang_up)
        thread.start()
        connection = ssh.connection(port=listener.getsockname()[1], dial_error_limit=3)
        project.declare(command("cmd", ssh, connection=connection, create="true"))
        failed = project.up()
        thread.join(timeout=30)
    (error,) = failed.errors
    assert error.startswith("after 3 failed attempts: ")  # and how the connection was cut
    waits = [later - sooner for sooner, later in pairwise(times)]
    for wait, least in zip(waits, [0.1, 0.15, 0.225], strict=True):
        assert wait >= 0.8 * least  # the one before may have been accepted late


def test_a_proxy_is_the_way_to_the_host_and_each_proves_itself(
    project: Project, ssh: SshServer, tmp_path: Path
) -> None:
    with SshServer(tmp_path / "proxy") as proxy:
        way = proxy.connection()
        through = command("cmd", ssh, connection=ssh.connection(proxy=way), create="echo ran >>log")
        project.declare(through)
        assert project.up().steps == {"cmd": ["create"]}
        assert proxy.forwarded == [("127.0.0.1", ssh.port)]
        assert (proxy.logins, ssh.logins, log(ssh)) == (1, 1, ["ran"])
        assert project.up().steps == {}
        key = str(way["private_key"]).splitlines()[1]
        assert key not in project.state_text()

        other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
        for wrong in (
            ssh.connection(proxy={**way, "host_key": other}),
            ssh.connection(proxy=way, host_key=other),
        ):
            project.declare(command("cmd", ssh, connection=wrong, create="echo wrong >>log"))
            assert project.up().errors == ["proxy: after 0 failed attempts: " + MISMATCH]
        assert (proxy.logins, ssh.logins, log(ssh)) == (2, 1, ["ran"])
        project.declare(through)
        project.destroy()


def test_a_host_that_comes_up_late_is_waited_for(project: Project, tmp_path: Path) -> None:
    with socket.socket() as reserved:  # bound, so that nobody else is given it, and not listening
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(("127.0.0.1", 0))
        late = SshServer(tmp_path / "late", reserved.getsockname()[1])
        connection = late.connection(dial_error_limit=20)
        project.declare(command("cmd", late, connection=connection, create="echo ran"))
        running = project.start("up", "--yes", "--skip-preview")
        assert running.stdout
        assert any("failed: retrying" in line for line in running.stdout)  # as nobody is there yet
        with late:
            text, _ = running.communicate()
    assert running.returncode == 0, text


def test_a_host_that_takes_the_connection_and_says_nothing_is_waited_for(
    project: Project, ssh: SshServer
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = ssh.connection(port=listener.getsockname()[1], per_dial_timeout=1)
        project.declare(command("cmd", ssh, connection=connection, create="true"))
        running = project.start("up", "--yes", "--skip-preview")
        held, _ = listener.accept()
        time.sleep(3)
        assert running.poll() is None  # the limit is that of the dial, not of what follows
        held.close()
    running.communicate()
    assert running.returncode != 0


def test_ctrl_c_waits_for_the_running_command_and_keeps_it(
    project: Project, ssh: SshServer
) -> None:
    project.declare(
        command("slow", ssh, create="echo begun >>log; sleep 4; echo ended >>log"),
        command("after", ssh, {"depends_on": [ref("slow")]}, create="echo after >>log"),
    )
    running = project.start("up", "--yes", "--skip-preview")
    deadline = time.monotonic() + 30
    while log(ssh) != ["begun"] and time.monotonic() < deadline:
        time.sleep(0.05)
    interrupt(running)
    running.communicate()
    assert running.returncode != 0
    assert log(ssh) == ["begun", "ended"]
    assert list(project.state()) == ["slow"]
    assert project.up().steps == {"after": ["create"]}  # no lock is left


def test_a_local_command_runs_here(project: Project, tmp_path: Path) -> None:
    def declare(create: str) -> None:
        arguments = {"create": create, "stdin": "in", "environment": {"NAME": "me"}}
        project.declare(
            Made("cmd", "pulumi_command.local.Command", {**arguments, "dir": str(tmp_path)}),
            out=ref("cmd", "stdout"),
        )

    declare('echo "$NAME $(cat) $(pwd)"')
    assert project.up().steps == {"cmd": ["create"]}
    assert project.outputs() == {"out": f"me in {tmp_path}"}
    declare("echo bad; exit 3")
    assert project.up().errors == ['exit status 3: running "echo bad; exit 3":\nbad']

    arguments = {"create": "exit(7)", "interpreter": [sys.executable, "-c"]}
    project.declare(Made("cmd", "pulumi_command.local.Command", arguments))
    assert project.up().errors == ['exit status 7: running "exit(7)":']
    arguments = {"create": "true", "asset_paths": ["*"]}
    project.declare(Made("cmd", "pulumi_command.local.Command", arguments))
    (error,) = project.preview().errors
    assert error.endswith("not in this stand-in for the command provider")


def test_without_a_private_key_an_ssh_agent_is_asked(
    project: Project, ssh: SshServer, tmp_path: Path
) -> None:
    login = ssh.connection()
    private = login.pop("private_key")
    project.declare(command("cmd", ssh, connection=login, create="echo $0 >>log"))
    assert project.up().status == 1  # nobody offers a key, the user's own files included
    for number in (1, 2):
        with ssh_agent(tmp_path / f"agent-{number}", private) as path:
            project.environment["SSH_AUTH_SOCK"] = str(path)
            assert project.up().steps == ({"cmd": ["create"]} if number == 1 else {})
            assert str(path) not in project.state_text()
    assert len(log(ssh)) == 1


def test_an_agents_keys_are_not_offered_beside_a_private_key(
    project: Project, ssh: SshServer, tmp_path: Path
) -> None:
    login = ssh.connection()
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    with ssh_agent(tmp_path / "agent", login["private_key"]) as path:
        other = {**login, "private_key": stranger, "agent_socket_path": str(path)}
        project.declare(command("cmd", ssh, connection=other, create="true"))
        assert project.up().status == 1
    assert (ssh.refused, ssh.logins) == (1, 0)


def test_a_private_key_may_have_a_password(
    project: Project, ssh: SshServer, tmp_path: Path
) -> None:
    path, password = tmp_path / "key", "correct horse"
    path.write_text(ssh.connection()["private_key"])
    path.chmod(0o600)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", password, "-f", path], check=True)
    locked = ssh.connection(private_key=path.read_text())
    project.declare(command("cmd", ssh, connection=locked, create="echo ran >>log"))
    assert project.up().errors == ["ssh: this private key is passphrase protected"]
    opened = {**locked, "private_key_password": password}
    project.declare(command("cmd", ssh, connection=opened, create="echo ran >>log"))
    assert project.up().errors == []
    assert log(ssh) == ["ran"]
    assert password not in project.state_text()


def test_an_agent_that_does_not_answer_is_an_error_although_there_is_a_key(
    project: Project, ssh: SshServer, tmp_path: Path
) -> None:
    project.environment["SSH_AUTH_SOCK"] = str(tmp_path / "gone")
    project.declare(command("cmd", ssh, create="true"))
    (error,) = project.up().errors
    assert f"dial unix {tmp_path / 'gone'}" in error
    assert (ssh.logins, ssh.refused) == (0, 0)
