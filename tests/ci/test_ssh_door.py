"""The door for SSH in an emulated account: it opens one rule, and closes that one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import boto3
import pytest

from ci import ssh_door

RUN = ("--app", "shop", "--environment", "staging", "--holder", "run-1")
OWN = {"label": "satellite", "app": "shop", "environment": "staging"}


def group(ec2: Any, **tags: str) -> str:
    """A security group with the stack's tags, and the stack's own rule for its office."""
    made = ec2.create_security_group(
        GroupName=f"shop-{len(ec2.describe_security_groups()['SecurityGroups'])}",
        Description="tests",
        TagSpecifications=[
            {
                "ResourceType": "security-group",
                "Tags": [{"Key": k, "Value": v} for k, v in {**OWN, **tags}.items()],
            }
        ],
    )["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=made,
        IpPermissions=[ssh_door._permission("198.51.100.0/24", "SSH from 198.51.100.0/24")],
    )
    return str(made)


def rules(ec2: Any, of: str) -> dict[str, tuple[str, str | None]]:
    """CIDR -> description and holder of each rule that lets somebody in."""
    found = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [of]}])
    return {
        rule.get("CidrIpv4") or rule["CidrIpv6"]: (
            rule["Description"],
            {tag["Key"]: tag["Value"] for tag in rule.get("Tags", [])}.get("satellite-door"),
        )
        for rule in found["SecurityGroupRules"]
        if not rule["IsEgress"]
    }


OFFICE = {"198.51.100.0/24": ("SSH from 198.51.100.0/24", None)}
OPEN = {**OFFICE, "203.0.113.7/32": ("SSH door of run-1", "run-1")}


def run(action: str, *arguments: str, of: tuple[str, ...] = RUN) -> int:
    return ssh_door.main([action, *of, *arguments])


def test_it_opens_one_rule_and_closes_that_one(
    ec2: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    shop, other = group(ec2), group(ec2, environment="production")
    assert run("open", "--cidr", "203.0.113.7") == 0
    assert rules(ec2, shop) == OPEN
    assert rules(ec2, other) == OFFICE
    assert run("close") == 0
    assert rules(ec2, shop) == OFFICE
    opened, closed = capsys.readouterr().out.splitlines()
    rule = opened.split()[1]
    assert opened == f"open: {rule} opens SSH to 203.0.113.7/32"
    assert closed == f"close: closed {rule}"


def test_a_stack_without_instances_needs_no_group(
    ec2: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("open", "--cidr", "203.0.113.7", "--instances", "no") == 0
    said = "open: nothing to open: shop, staging has no instances, and no security group\n"
    assert capsys.readouterr().out == said
    assert run("open", "--cidr", "203.0.113.7", "--instances", "yes") == 1
    shop = group(ec2)  # of instances that the deploy is to drain
    assert run("open", "--cidr", "203.0.113.7", "--instances", "no") == 0
    assert rules(ec2, shop) == OPEN


def test_the_rule_carries_the_stacks_tags(ec2: Any) -> None:
    shop = group(ec2)
    run("open", "--cidr", "203.0.113.7")
    found = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [shop]}])
    door = next(r for r in found["SecurityGroupRules"] if r.get("CidrIpv4") == "203.0.113.7/32")
    tags = {tag["Key"]: tag["Value"] for tag in door["Tags"]}
    assert tags == {**OWN, "satellite-door": "run-1"}
    assert (door["IpProtocol"], door["FromPort"], door["ToPort"]) == ("tcp", 22, 22)


def test_it_does_both_again_without_harm(ec2: Any, capsys: pytest.CaptureFixture[str]) -> None:
    shop = group(ec2)
    for _ in range(2):
        assert run("open", "--cidr", "203.0.113.7") == 0
        assert rules(ec2, shop) == OPEN
    for _ in range(2):
        assert run("close") == 0
        assert rules(ec2, shop) == OFFICE
    said = capsys.readouterr().out.splitlines()
    assert said[1].endswith("has opened SSH to 203.0.113.7/32 already")
    assert said[3] == "close: nothing was open"


def test_another_runs_door_stays_open(ec2: Any) -> None:
    shop = group(ec2)
    other = ("--app", "shop", "--environment", "staging", "--holder", "run-2")
    run("open", "--cidr", "203.0.113.7")
    run("open", "--cidr", "203.0.113.8", of=other)
    assert run("close") == 0
    assert rules(ec2, shop) == {**OFFICE, "203.0.113.8/32": ("SSH door of run-2", "run-2")}


def test_a_door_left_open_to_the_same_address_is_taken_over(ec2: Any) -> None:
    shop = group(ec2)
    killed = ("--app", "shop", "--environment", "staging", "--holder", "run-0")
    run("open", "--cidr", "203.0.113.7", of=killed)
    assert run("open", "--cidr", "203.0.113.7") == 0
    assert rules(ec2, shop) == {**OFFICE, "203.0.113.7/32": ("SSH door of run-0", "run-1")}
    run("close")
    assert rules(ec2, shop) == OFFICE


def test_the_stacks_own_rule_for_that_address_stays(
    ec2: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = group(ec2)
    mine = ssh_door._permission("203.0.113.7/32", "SSH from 203.0.113.7/32")
    ec2.authorize_security_group_ingress(GroupId=shop, IpPermissions=[mine])
    before = rules(ec2, shop)
    assert run("open", "--cidr", "203.0.113.7") == 0
    assert "of the stack itself opens SSH" in capsys.readouterr().out
    run("close")
    assert rules(ec2, shop) == before


def test_an_address_that_changed_meanwhile_leaves_no_second_door(ec2: Any) -> None:
    shop = group(ec2)
    run("open", "--cidr", "203.0.113.8")
    run("open", "--cidr", "203.0.113.7")
    assert rules(ec2, shop) == OPEN


def test_ipv6(ec2: Any) -> None:
    shop = group(ec2)
    assert run("open", "--cidr", "2001:db8::7") == 0
    assert rules(ec2, shop) == {**OFFICE, "2001:db8::7/128": ("SSH door of run-1", "run-1")}
    run("close")
    assert rules(ec2, shop) == OFFICE


def test_the_stacks_region_wins_over_the_runners(ec2: Any) -> None:
    there = boto3.client("ec2", region_name="eu-central-1")
    shop = group(there)
    assert run("open", "--cidr", "203.0.113.7") == 1
    assert run("open", "--cidr", "203.0.113.7", "--region", "eu-central-1") == 0
    assert rules(there, shop) == OPEN
    assert run("close", "--region", "eu-central-1") == 0
    assert rules(there, shop) == OFFICE
    here = group(ec2)
    assert run("open", "--cidr", "203.0.113.7", "--region", "") == 0  # a stack that says none
    assert rules(ec2, here) == OPEN
    there.close()


def test_before_the_first_up_there_is_nothing_to_open_or_close(
    ec2: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("open", "--cidr", "203.0.113.7") == 1
    assert run("close") == 0
    out, err = capsys.readouterr()
    assert err == (
        "error: shop, staging has no security group in us-east-1 yet: run the first `pulumi up` of "
        "a stack from a machine in satellite:ssh_cidrs\n"
    )
    assert out == "close: nothing was open: shop, staging has no security group\n"


def test_which_of_two_groups_must_be_said(ec2: Any, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = sorted([group(ec2), group(ec2)])
    assert run("open", "--cidr", "203.0.113.7") == 1
    assert capsys.readouterr().err == (
        f"error: shop, staging has 2 security groups ({first}, {second}): "
        "say which one with --group\n"
    )
    assert run("open", "--cidr", "203.0.113.7", "--group", second) == 0
    assert (rules(ec2, first), rules(ec2, second)) == (OFFICE, OPEN)


def test_an_api_that_refuses_is_an_error_of_one_line(
    ec2: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("open", "--cidr", "203.0.113.7", "--group", "sg-00000000000000000") == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "203.0.113.0/24", "2001:db8::/64", "office"])
def test_more_than_one_address_is_refused(cidr: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run("open", "--cidr", cidr)
    assert ended.value.code == 2
    assert cidr in capsys.readouterr().err


class Answers(BaseHTTPRequestHandler):
    """Gives the class' answers one after the other, the last one again and again."""

    answers: list[str]

    def do_GET(self) -> None:
        text = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.send_response(503 if text == "busy" else 200)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("answers", "cidr"),
    [
        (["203.0.113.7\n"], "203.0.113.7/32"),
        (["2001:db8::7"], "2001:db8::7/128"),
        (["busy", "<html>", "203.0.113.7"], "203.0.113.7/32"),
    ],
)
def test_the_own_address_is_asked_for(url: str, answers: list[str], cidr: str) -> None:
    Answers.answers = answers
    assert ssh_door.own_address(url, pause=lambda _: None) == cidr


def test_no_address_no_door(ec2: Any, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Answers.answers = ["0.0.0.0/0"]  # a network is not an address, whoever says it
    shop = group(ec2)
    monkeypatch.setattr(ssh_door, "PAUSE", 0)
    assert run("open", "--address-url", url) == 1
    assert rules(ec2, shop) == OFFICE
