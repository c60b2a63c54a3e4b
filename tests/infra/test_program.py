"""The whole program against mocks: every resource, input, option and output, and no other."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pytest

from satellite_infra.host_identity import host_identity

from .conftest import ARMOURED, LOGIN, REVISION, SEED, stack_values
from .program import Ran, golden, noted, run

OTHER = host_identity("another seed with more than 32 characters", "x")


def after(ran: Ran, name: str) -> set[str]:
    """The names of what a command waits for, directly."""
    found = [r for urn, r in ran.resources.items() if urn.endswith(f":Command::{name}")]
    found += [r for urn, r in ran.resources.items() if urn.endswith(f":CopyToRemote::{name}")]
    return {urn.split("::")[-1] for urn in found[0]["depends_on"]}


def changed(**values: Any) -> dict[str, Any]:
    merged = {k: v for k, v in {**stack_values(), **values}.items() if v is not None}
    return {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in merged.items()}


def test_two_instances() -> None:
    ran = run(stack_values())
    assert list(ran.resources) == [
        "aws:ec2/instance:Instance::worker-1",
        "aws:ec2/instance:Instance::worker-2",
        "aws:ec2/keyPair:KeyPair::satellite-shop-staging",
        "aws:ec2/securityGroup:SecurityGroup::satellite-shop-staging",
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule::out-all-to----0",
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule::out-all-to-0.0.0.0-0",
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule::ssh-from-203.0.113.0-24",
        "command:local:Command::all-reached",
        "command:local:Command::openings",
        "command:local:Command::worker-1-reach",
        "command:local:Command::worker-2-reach",
        "command:remote:Command::worker-1-bootstrap",
        "command:remote:Command::worker-1-drain",
        "command:remote:Command::worker-1-release",
        "command:remote:Command::worker-2-bootstrap",
        "command:remote:Command::worker-2-drain",
        "command:remote:Command::worker-2-release",
        "command:remote:CopyToRemote::worker-1-agent",
        "command:remote:CopyToRemote::worker-2-agent",
    ]
    is_, should_be = golden("two_instances", ran)
    assert is_ == should_be


def test_existing_hosts_need_no_aws() -> None:
    hosts = {"rented": {"address": "rented.example.com", "host_key": OTHER.public, "user": "root"}}
    ran = run(changed(count=None, ami=None, public_key=None, hosts=hosts) | {"public_key": PUBLIC})
    assert list(ran.resources) == [
        "command:local:Command::rented-reach",
        "command:remote:Command::rented-bootstrap",
        "command:remote:Command::rented-drain",
        "command:remote:Command::rented-release",
        "command:remote:CopyToRemote::rented-agent",
    ]
    is_, should_be = golden("existing_host", ran)
    assert is_ == should_be


def test_every_setting_that_shapes_a_resource() -> None:
    values = changed(
        count=None,
        names=["mailer-1", "reports-2", "gone-3"],
        hosts={
            "mailer-1": {
                "private_ip": "172.31.0.77",
                "subnet_id": SUBNET,
                "instance_type": "t3.large",
                "protect": False,
            },
            "reports-2": {
                "ami": "ami-0fedcba9876543210",
                "user": "debian",
                "root_volume_gb": 200,
                "subnet_id": "subnet-0aaaaaaaaaaaaaaaa",
            },
            "gone-3": {"lost": True},
            "rented": {
                "address": "192.0.2.7",
                "port": 2222,
                "machine": 4,
                "host_key": OTHER.public,
            },
        },
        roll=["mailer-1"],
        environment="production",
        connect="public",
        instance_type="m6i.large",
        root_volume_gb="50",
        ssh_user="ubuntu",
        tags={"team": "orders"},
        vpc_id="vpc-0123456789abcdef0",
        subnet_ids=["subnet-0123456789abcdef0", "subnet-0fedcba9876543210"],
        security_group_ids=["sg-0123456789abcdef0"],
        ssh_cidrs=["203.0.113.7/32", "2001:db8::/32"],
        egress=[
            {"from_port": 443, "to_port": 443, "cidr": "0.0.0.0/0", "description": "HTTPS"},
            {"protocol": "icmp", "cidr": "10.0.0.0/8", "description": "Ping inside"},
        ],
        reach_seconds="60",
        bastion={"address": "bastion.example.com", "host_key": OTHER.public, "port": 2200},
        repository="git@git.example.com:shop.git",
        deploy_key=LOGIN,
        known_hosts=[f"git.example.com {OTHER.public}"],
        packages=["libpq-dev"],
        apt_sources={
            "pgdg": {
                "uri": "https://apt.example.com/debian",
                "suite": "bookworm-pgdg",
                "components": ["main"],
                "key": ARMOURED,
            }
        },
        unattended_upgrades="false",
        ruby={
            "version": "3.3.6",
            "source": "https://ruby.example.com/ruby-3.3.6.tar.gz",
            "sha256": "0f" * 32,
            "rubygems": "3.5.23",
            "bundler": "2.5.23",
        },
        processes={
            "worker": {
                "quantity": 3,
                "grace": 120,
                "memory_max": "300M",
                "cpu": "150%",
                "signal": "INT",
                "signal_to": "main",
                "overlap": True,
                "on_kill": "bin/release-jobs",
                "alert": {"memory": "250M", "cpu": "90%", "restarts": 1},
            },
            "mailer": {
                "quantity": 1,
                "command": "bin/mailer --queue 'a b'",
                "env": {"QUEUE": "a b", "LIMIT": 5},
            },
        },
        build=["make"],
        environment_vars=["APP_ENV"],
        config_files={
            "config/database.yml": {
                "template": "{{ APP_ENV }}:\n  url: {{ DATABASE_URL | json }}\n"
            },
            "config/server.key": {"template": "canary", "mode": 440, "owner": "root"},
        },
        generation="2",
        keep_releases="3",
        gate_seconds="20",
        max_unavailable="2",
        release_phase="on",
        canary="true",
        soak_seconds="300",
        health="bin/check --now",
        health_seconds="45",
        monit={
            "mail_to": ["ops@example.com"],
            "mail_from": "satellite@example.com",
            "smtp_host": "smtp.example.com",
            "smtp_user": "ops",
        },
        monit_password="canary",
        release_webhook="https://hooks.example.com/canary",
        next_public_key=f"{OTHER.public} next",
        authorized_keys=[f"{host_identity(SEED, 'ada').public} ada"],
        protect="true",
        auto_recover="true",
        app_metadata="allowed",
        app_policies=[
            "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess",
            "arn:aws:iam::123456789012:policy/AmazonS3ReadOnlyAccess",
        ],
    )
    is_, should_be = golden("every_setting", run(values))
    assert is_ == should_be


ALERTS = {
    "alerts": {"emails": ["ops@example.com", "ada@example.com"], "cpu_percent": 95},
    "alert_urls": ["https://alerts.example.com/canary-5d1f/enqueue"],
}


def told(ran: Ran) -> dict[str, list[str]]:
    """The alarms by name, and what each calls; each calls the topic at its end as well."""
    found = {
        urn.split("::")[1]: resource["inputs"]
        for urn, resource in ran.resources.items()
        if "MetricAlarm" in urn
    }
    topic = "arn:aws-eu:sns:eu-west-9:123456789012:satellite-shop-staging-alerts-abcdef0"
    assert all(alarm["okActions"] == [topic] for alarm in found.values())
    return {
        name: ["told" if action == topic else action for action in alarm["alarmActions"]]
        for name, alarm in found.items()
    }


def test_alarms_of_each_instance_are_told_by_one_topic() -> None:
    ran = run(changed(count="1", **ALERTS))
    is_, should_be = golden("alerts", ran)
    assert is_ == should_be
    each = ("cpu", "instance-check", "system-check")
    assert told(ran) == {f"worker-1-{what}": ["told"] for what in each}
    shown = [
        {key: value for key, value in resource["inputs"].items() if key != "endpoint"}
        for resource in ran.resources.values()
    ]
    assert "canary-5d1f" not in json.dumps([shown, list(ran.resources), ran.outputs])
    dotted = run(changed(count="1", environment="eu.prod", **ALERTS))
    assert "satellite-shop-eu-prod-alerts" in {urn.rpartition("::")[2] for urn in dotted.resources}


def test_a_queue_is_measured_by_two_instances_and_watched_after_their_releases() -> None:
    queue = {"sql": "SELECT count(*),\n  0 FROM jobs", "every_minutes": 2, "name": "mail"}
    values = changed(count="4", queue=queue, hosts={"worker-1": {"lost": True}}, **ALERTS)
    ran = run(values)
    measuring = {
        urn.split("::")[1]
        for urn, resource in ran.resources.items()
        if "\nqueue.sql: " in resource["inputs"].get("create", "")
    }
    assert measuring == {"worker-2-bootstrap", "worker-3-bootstrap"}
    (policy,) = (r["inputs"] for urn, r in ran.resources.items() if "RolePolicy:" in urn)
    assert json.loads(policy["policy"])["Statement"] == [
        {
            "Effect": "Allow",
            "Action": "cloudwatch:PutMetricData",
            "Resource": "*",
            "Condition": {"StringEquals": {"cloudwatch:namespace": "Satellite"}},
        }
    ]
    profiles = {
        resource["inputs"].get("iamInstanceProfile")
        for urn, resource in ran.resources.items()
        if urn.startswith("aws:ec2/instance:")
    }
    assert profiles == {"satellite-shop-staging-abcdef0"}
    alarms = {
        urn.split("::")[1]: resource
        for urn, resource in ran.resources.items()
        if "::queue-" in urn and "MetricAlarm" in urn
    }
    watched = {"Namespace": "Satellite", "period": 120, "periods": 3, "statistic": "Maximum"}
    assert {
        name: {
            "Namespace": alarm["inputs"]["namespace"],
            "period": alarm["inputs"]["period"],
            "periods": alarm["inputs"]["evaluationPeriods"],
            "statistic": alarm["inputs"]["statistic"],
            "metric": alarm["inputs"]["metricName"],
            "threshold": alarm["inputs"]["threshold"],
            "missing": alarm["inputs"]["treatMissingData"],
        }
        for name, alarm in alarms.items()
    } == {
        "queue-age": {
            **watched,
            "metric": "QueueAge",
            "threshold": 600,
            "missing": "breaching",
        },
        "queue-depth": {
            **watched,
            "metric": "QueueDepth",
            "threshold": 1000,
            "missing": "ignore",
        },
    }
    where = {"App": "shop", "Environment": "staging", "Queue": "mail"}
    assert [alarm["inputs"]["dimensions"] for alarm in alarms.values()] == [where, where]
    assert told(ran).keys() >= {"queue-age", "queue-depth"}
    assert alarms["queue-age"]["inputs"]["alarmDescription"] == (
        "Queue mail of shop, staging: for 6 minutes its oldest job has waited for 600 s or more, "
        "or worker-2 and worker-3 did not say for how long: look at the workers: journalctl -u "
        "'satellite-shop.*' on each host; and at how it is measured: journalctl -u "
        "satellite-shop-queue on worker-2 and worker-3"
    )
    # the last of a chain of one after the other
    assert all(
        {urn.split("::")[-1] for urn in alarm["depends_on"]} >= {"worker-4-release"}
        for alarm in alarms.values()
    )


def test_a_queue_is_measured_although_nobody_is_told() -> None:
    ran = run(changed(count="1", queue={"delayed_job": True}))
    kinds = {urn.split(":")[1] for urn in ran.resources if urn.startswith("aws:")}
    assert "iam/rolePolicy" in kinds
    assert not kinds & {"cloudwatch/metricAlarm", "sns/topic"}
    bootstrap = ran.resources["command:remote:Command::worker-1-bootstrap"]
    assert "\nqueue.delayed_job: true\n" in bootstrap["inputs"]["create"]


def test_an_instance_that_recovers_is_told_of_once() -> None:
    ran = run(changed(count="1", auto_recover="true", **ALERTS))
    recover = "arn:aws-eu:automate:eu-west-9:ec2:recover"
    assert told(ran) == {
        "worker-1-cpu": ["told"],
        "worker-1-instance-check": ["told"],
        "worker-1-recover": [recover, "told"],
    }


def test_an_image_is_looked_up_once_for_the_instances_without_their_own() -> None:
    lookup = {"owner": "136693071363", "name": "debian-12-amd64-*"}
    own = {"worker-2": {"ami": "ami-0fedcba9876543210"}}
    values = changed(count="3", ami=None, ami_lookup=lookup, hosts=own)
    ran = run(values, image="ami-0aaaaaaaaaaaaaaaa")
    assert ran.looked_up == [
        (
            "aws:ec2/getAmi:getAmi",
            {
                "filters": [{"name": "name", "values": ["debian-12-amd64-*"]}],
                "mostRecent": True,
                "owners": ["136693071363"],
            },
        )
    ]
    used = {
        urn.split("::")[1]: resource["inputs"]["ami"]
        for urn, resource in ran.resources.items()
        if urn.startswith("aws:ec2/instance")
    }
    assert used == {
        "worker-1": "ami-0aaaaaaaaaaaaaaaa",
        "worker-2": "ami-0fedcba9876543210",
        "worker-3": "ami-0aaaaaaaaaaaaaaaa",
    }
    # where each has its own, nobody is asked
    all_own = {f"worker-{n}": {"ami": "ami-0fedcba9876543210"} for n in (1, 2, 3)}
    assert run(changed(count="3", ami=None, ami_lookup=lookup, hosts=all_own)).looked_up == []


def test_an_instance_with_an_image_of_its_own_may_have_its_user() -> None:
    own = {"worker-2": {"ami": "ami-0fedcba9876543210", "user": "ubuntu"}}
    ran = run(changed(hosts=own))
    for name, user in {"worker-1": "admin", "worker-2": "ubuntu"}.items():
        bootstrap = ran.resources[f"command:remote:Command::{name}-bootstrap"]["inputs"]
        assert bootstrap["connection"]["SECRET"]["user"] == user
        assert f"\nuser: {user}\n" in bootstrap["create"]
        drain = ran.resources[f"command:remote:Command::{name}-drain"]["inputs"]
        assert drain["connection"]["SECRET"]["user"] == user
        agent = ran.resources[f"command:remote:CopyToRemote::{name}-agent"]["inputs"]
        assert agent["triggers"] == [f"id-of-{name}", user]
        reach = ran.resources[f"command:local:Command::{name}-reach"]["inputs"]
        assert reach["environment"]["SATELLITE_USER"] == user
    assert "  HostName 172.31.0.2\n  User ubuntu\n" in ran.outputs["ssh_config"]


def test_what_an_instance_has_that_is_not_declared_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kept = {"ami": "ami-0fedcba9876543210", "instanceType": "t3.small", "subnetId": SUBNET}
    values = changed(
        count="5",
        instance_type="m5.4xlarge",
        subnet_ids=[SUBNET, "subnet-0fedcba9876543210"],
        hosts={
            "worker-2": {"ami": "ami-0aaaaaaaaaaaaaaaa", "instance_type": "t3.small"},
            "worker-3": {"lost": True},
        },
        roll=["worker-4"],
    )
    ran = run(values, kept=kept)
    image = f"has {kept['ami']}, and satellite:"
    both = (
        f"{image}ami says ami-0123456789abcdef0; t3.small, and satellite:instance_type says "
        "m5.4xlarge"
    )
    second = f"{image}hosts.worker-2.ami says ami-0aaaaaaaaaaaaaaaa"
    assert ran.outputs["to_roll"] == {"worker-1": both, "worker-2": second, "worker-5": both}
    assert caplog.messages == [
        f"worker-1 {both}: satellite roll worker-1; alike: worker-5",
        f"worker-2 {second}: satellite roll worker-2",
    ]


def test_what_is_private_and_has_a_public_address_all_the_same_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ran = run(changed(vpc_id=None, subnet_ids=None))
    for name in ("worker-1", "worker-2"):
        instance = ran.resources[f"aws:ec2/instance:Instance::{name}"]["inputs"]
        assert "associatePublicIpAddress" not in instance
    (said,) = caplog.messages
    assert said.startswith("satellite:connect: private, and without satellite:vpc_id and subnet_")


def test_a_newer_image_than_an_instance_has_is_nothing_to_roll_for() -> None:
    lookup = {"owner": "136693071363", "name": "debian-12-amd64-*"}
    values = changed(ami=None, ami_lookup=lookup)
    ran = run(values, image="ami-0aaaaaaaaaaaaaaaa", kept={"ami": "ami-0fedcba9876543210"})
    assert ran.outputs["to_roll"] == {}


def test_no_such_image_names_the_setting_and_touches_nothing() -> None:
    lookup = {"owner": "self", "name": "nothing-*"}
    with pytest.raises(pulumi.RunError) as caught:
        run(changed(ami=None, ami_lookup=lookup), image="")
    assert str(caught.value) == (
        "satellite:ami_lookup: no image of owner self is named nothing-* in this region, or EC2 "
        "could not be asked: invoke of aws:ec2/getAmi:getAmi failed: Your query returned no "
        "results. (filters)"
    )


def test_batches_wait_for_the_releases_before_them() -> None:
    ran = run(changed(count="5", max_unavailable="2"))
    batches = [("all-reached",), ("batch-1",), ("batch-2",)]
    assert after(ran, "all-reached") == {f"worker-{n}-reach" for n in range(1, 6)}
    assert after(ran, "batch-1") == {"worker-1-release", "worker-2-release"}
    assert after(ran, "batch-2") == {"worker-3-release", "worker-4-release"}
    rules = {"ssh-from-203.0.113.0-24", "out-all-to-0.0.0.0-0", "out-all-to----0"}
    assert after(ran, "openings") == rules
    for n in range(1, 6):
        own, machine = f"worker-{n}", {f"worker-{n}"}
        waits = {*batches[(n - 1) // 2], f"{own}-reach"}
        assert after(ran, f"{own}-agent") == waits | machine
        assert after(ran, f"{own}-bootstrap") == {f"{own}-agent"} | machine
        steps = {f"{own}-{step}" for step in ("reach", "bootstrap", "drain")}
        assert after(ran, f"{own}-release") == steps | machine
        assert after(ran, f"{own}-drain") == {f"{own}-reach"} | machine
        assert after(ran, f"{own}-reach") == {"openings"} | machine
    assert "command:local:Command::batch-3" not in ran.resources


def test_a_canary_is_alone_and_soaks_alone() -> None:
    lost = {"worker-1": {"lost": True}}
    canary = {"canary": "true", "soak_seconds": "300", "max_unavailable": "50%"}
    ran = run(changed(count="6", hosts=lost, **canary))
    waits = {n: after(ran, f"worker-{n}-agent") & ORDER for n in range(2, 7)}
    assert waits == {
        2: {"all-reached"},
        3: {"worker-2-release"},
        4: {"worker-2-release"},
        5: {"batch-2"},
        6: {"batch-2"},
    }
    soaking = [
        urn.split("::")[1]
        for urn, resource in ran.resources.items()
        if "soak_seconds: 300\n" in resource["inputs"].get("create", "")
    ]
    assert soaking == ["worker-2-release"]
    assert "soak" not in ran.outputs["manifest"]


def test_the_release_phase_is_before_every_release_and_after_the_leaders_bootstrap() -> None:
    name = f"release-phase-{REVISION[:12]}"
    gone = {"worker-1": {"lost": True}}
    ran = run(changed(count="4", max_unavailable="2", release_phase="on", hosts=gone))
    assert after(ran, name) == {"worker-2", "worker-2-reach", "worker-2-bootstrap"}
    for n in (2, 3, 4):
        assert name in after(ran, f"worker-{n}-release")
        assert name not in after(ran, f"worker-{n}-bootstrap")
    # what it would be sent, and where, may change: it is never sent again
    phase = ran.resources[f"command:remote:Command::{name}"]
    inputs = phase["inputs"].keys() - {"addPreviousOutputInEnv"}
    assert set(phase["ignore_changes"]) == inputs


def test_no_rolled_machine_drains_before_the_batch_before_it_works() -> None:
    ran = run(changed(count="3", roll=["worker-2", "worker-3"]))
    for n in (2, 3):
        waits = {f"worker-{n}", f"worker-{n}-reach", f"worker-{n - 1}-release"}
        assert after(ran, f"worker-{n}-drain") == waits
    assert after(ran, "worker-1-drain") == {"worker-1", "worker-1-reach"}


def test_what_a_host_waits_for_does_not_grow_with_the_hosts() -> None:
    def most(hosts: int) -> int:
        ran = run(changed(count=str(hosts), max_unavailable=str(hosts // 2)))
        mine = [r for urn, r in ran.resources.items() if "::worker-" in urn]
        return max(len(r.get("depends_on", [])) for r in mine)

    assert most(4) == most(20)


def test_a_lost_host_keeps_its_place_and_nobody_connects_to_it() -> None:
    ran = run(changed(count="3", hosts={"worker-2": {"lost": True}}))
    assert [name for name in ran.resources if "worker-2" in name] == [
        "aws:ec2/instance:Instance::worker-2",
        "command:remote:Command::worker-2-drain",
        "command:remote:Command::worker-2-jobs",
    ]
    drain = ran.resources["command:remote:Command::worker-2-drain"]
    assert "delete" not in drain["inputs"]
    assert after(ran, "worker-2-drain") == {"openings", "worker-2"}
    assert "worker-1-release" in after(ran, "worker-3-agent")


def test_the_jobs_of_a_lost_host_are_given_back_by_the_first_that_lives() -> None:
    lost = {f"worker-{n}": {"lost": True} for n in (1, 3)}
    ran = run(changed(count="4", hosts=lost))
    for name in lost:
        jobs = ran.resources[f"command:remote:Command::{name}-jobs"]
        assert jobs["inputs"]["connection"]["SECRET"]["host"] == "172.31.0.2"
        assert jobs["inputs"]["create"].splitlines()[-1] == (
            '"$@" /usr/local/lib/satellite/agent give-back --app shop '
            f"--host {name} --machine id-of-{name} </dev/null"
        )
        assert jobs["inputs"]["triggers"] == ["id-of-worker-2", f"id-of-{name}"]
        assert after(ran, f"{name}-jobs") == {name, "worker-2", "worker-2-release"}
    nobody = {f"worker-{n}": {"lost": True} for n in (1, 2)}
    assert not [urn for urn in run(changed(hosts=nobody)).resources if urn.endswith("-jobs")]


def test_removing_the_middle_host_changes_no_input_of_the_others() -> None:
    three = run(changed(count=None, names=["a-1", "b-2", "c-3"])).resources
    two = run(changed(count=None, names=["a-1", "c-3"])).resources
    gone = {urn for urn in three if "::b-2" in urn}
    assert three.keys() - two.keys() == gone
    assert {urn: r["inputs"] for urn, r in two.items()} == {
        urn: r["inputs"] for urn, r in three.items() if urn not in gone
    }


def test_only_a_drain_does_anything_when_it_is_deleted() -> None:
    for urn, resource in run(stack_values()).resources.items():
        inputs = resource["inputs"]
        assert ("delete" in inputs) == urn.endswith("-drain")
        assert "update" not in inputs
        assert "environment" not in inputs or "local" in urn


def test_secrets_are_where_they_must_be_and_nowhere_else() -> None:
    def shown(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: shown(v) for k, v in value.items() if k != "SECRET"}
        return [shown(v) for v in value] if isinstance(value, list) else value

    ran = run(stack_values())
    everything = json.dumps([ran.resources, ran.outputs])
    assert "canary" in everything
    assert "LOGIN KEY" in everything
    visible = json.dumps([shown(ran.resources), ran.outputs])
    for secret in ("canary", "LOGIN KEY", "PRIVATE", SEED):
        assert secret not in visible


def test_bad_settings_touch_nothing() -> None:
    with pytest.raises(pulumi.RunError, match=r"1 problem in this stack's settings:\n  satellite:"):
        run(changed(count="0"))


def test_another_app_does_not_leave_the_workers_of_the_one_before_behind() -> None:
    former = run(stack_values()).outputs
    assert run(stack_values(), former=former).resources
    with pytest.raises(pulumi.RunError) as caught:
        run(changed(app="store"), former=former)
    assert str(caught.value) == (
        "these settings leave workers, or their jobs, behind:\n"
        "  satellite:app: should stay shop, whose workers would go on for ever: another app has a "
        "stack of its own; or end this one first: pulumi destroy, got store"
    )


RAISED = (
    "should be raised: another address and another host_key are another machine's, and workers of "
    "the one at 192.0.2.7 would go on for ever (where there never were any: declare it lost "
    "first), got 1"
)
STAYS = (
    "should stay 1 until an update has declared that machine lost: it cannot be drained any more, "
    "and what it held is found by this number, got 2"
)


@pytest.mark.parametrize(
    ("was", "now", "rule"),
    [
        ({}, {"address": "192.0.2.8", "host_key": OTHER.public}, RAISED),
        ({}, {"address": "192.0.2.8", "host_key": OTHER.public, "machine": 2}, ""),
        ({}, {"address": "192.0.2.8", "host_key": OTHER.public, "lost": True}, ""),
        ({}, {"address": "192.0.2.8"}, ""),
        ({}, {"host_key": OTHER.public}, ""),
        ({}, {"host_key": OTHER.public, "machine": 2}, STAYS),
        ({}, {"host_key": OTHER.public, "machine": 2, "port": 2222}, ""),
        ({}, {"machine": 2}, ""),
        ({}, {"machine": 2, "lost": True}, STAYS),
        ({"lost": True}, {"host_key": OTHER.public, "machine": 2, "lost": False}, ""),
    ],
)
def test_another_machine_of_a_host_is_said_to_be_one_in_the_order_that_ends_the_old_one(
    was: dict[str, Any], now: dict[str, Any], rule: str
) -> None:
    was = {"address": "192.0.2.7", "host_key": host_identity(SEED, "rented").public, **was}
    former = run(changed(hosts={"rented": was})).outputs
    values = changed(hosts={"rented": was | now})
    if not rule:
        assert run(values, former=former).resources
        return
    with pytest.raises(pulumi.RunError) as caught:
        run(values, former=former)
    assert str(caught.value) == (
        "these settings leave workers, or their jobs, behind:\n"
        f"  satellite:hosts/rented/machine: {rule}"
    )


LOST = {"hosts": {"worker-2": {"lost": True}}}
HELD = (
    "satellite:hosts/worker-2: should stay lost, with the machine it had, until an update has "
    "given back what machine id-of-worker-2 held: no drain goes there, and nobody would know of it "
    "any more; first: pulumi config set --path 'satellite:hosts.worker-2.lost' true && pulumi up"
)
RENTED = {"address": "192.0.2.7", "host_key": host_identity(SEED, "rented").public}


@pytest.mark.parametrize(
    ("was", "now", "rules"),
    [
        ({}, {"roll": ["worker-2"]}, []),
        # its update has failed
        (LOST, {"roll": ["worker-2"]}, [f"{HELD}; or, if it lives, take it out of satellite:roll"]),
        (LOST, {"count": "1"}, [HELD.replace("first: ", "put it back, and first: ")]),
        (LOST, {**LOST, "roll": ["worker-2"]}, []),
        (LOST, {}, []),
    ],
)
def test_a_lost_machine_stays_until_what_it_held_is_given_back(
    was: dict[str, Any], now: dict[str, Any], rules: list[str]
) -> None:
    before = run(changed(**was))
    state = noted(before, but=["worker-2-jobs"])
    if rules:
        with pytest.raises(pulumi.RunError) as caught:
            run(changed(**now), former=before.outputs, noted=state)
        head = "these settings leave workers, or their jobs, behind:"
        assert str(caught.value).split("\n  ") == [head, *rules]
    else:
        assert run(changed(**now), former=before.outputs, noted=state).resources
    # once it is given back
    assert run(changed(**now), former=before.outputs, noted=noted(before)).resources


def test_a_lost_machine_is_not_rolled_before_it_is_lost_no_longer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rolled = run(changed(count="3", roll=["worker-2", "worker-3"], **LOST)).resources
    stays, new = (rolled[f"aws:ec2/instance:Instance::worker-{n}"] for n in (2, 3))
    assert "ami" in stays["ignore_changes"]
    assert "replace_on_changes" not in stays
    assert "ami" in new["replace_on_changes"]
    said = "worker-2 is lost: satellite:roll replaces it once it is that no longer"
    assert caplog.messages == [said]


@pytest.mark.parametrize(
    "now",
    [
        {"machine": 2},
        {"machine": 2, "lost": True},
        {"host_key": OTHER.public, "address": "192.0.2.8"},
        None,
    ],
)
def test_so_does_a_lost_machine_that_was_there_without_us(now: dict[str, Any] | None) -> None:
    lost = {"hosts": {"rented": {**RENTED, "lost": True}}}
    before = run(changed(**lost))
    values = changed(hosts={"rented": RENTED | now} if now is not None else {})
    with pytest.raises(pulumi.RunError, match="until an update has given back what machine 1 held"):
        run(values, former=before.outputs, noted=noted(before, but=["rented-jobs"]))
    assert run(values, former=before.outputs, noted=noted(before)).resources


def test_where_nobody_could_give_back_a_lost_machine_gets_a_successor() -> None:
    lost = {f"worker-{n}": {"lost": True} for n in (1, 2)}
    before = run(changed(hosts=lost))
    for now in ({"roll": [*lost]}, {"roll": ["worker-1"], **LOST}, {"count": "1"}):
        assert run(changed(**now), former=before.outputs, noted=noted(before)).resources


def test_what_the_machine_before_held_that_was_not_drained_is_given_back_too() -> None:
    """The engine has heard that an instance is gone; or it could not be drained."""
    before = run(stack_values())
    state = noted(before)
    drain = "urn:pulumi:staging::satellite::command:remote:Command::worker-2-drain"
    state[drain]["outputs"]["triggers"] = ["i-before"]
    ran = run(changed(**LOST), former=before.outputs, noted=state)
    jobs = ran.resources["command:remote:Command::worker-2-jobs"]["inputs"]
    told = [line for line in jobs["create"].splitlines() if " give-back " in line]
    assert [line.split()[-3:-1] for line in told] == [
        ["--machine", "i-before"],
        ["--machine", "id-of-worker-2"],
    ]
    assert jobs["triggers"] == ["id-of-worker-1", "i-before", "id-of-worker-2"]
    # its successor may be at work
    del state[drain]["outputs"]["delete"]
    assert run(changed(roll=["worker-2"]), former=before.outputs, noted=state).resources


def test_a_machine_that_is_lost_anew_is_given_back_for_anew() -> None:
    """It lived after all, and the update that said so did not come to its end."""
    before = run(changed(**LOST))
    state = noted(before)
    drain = "urn:pulumi:staging::satellite::command:remote:Command::worker-2-drain"
    state[drain]["outputs"]["delete"] = "drain"
    ran = run(changed(**LOST), former=before.outputs, noted=state)
    jobs, drain = (f"command:remote:Command::worker-2-{role}" for role in ("jobs", "drain"))
    # or an update that fails there would leave nothing that says so
    assert jobs in ran.resources[drain]["depends_on"]
    for _ in range(2):
        ran = run(changed(**LOST), former=before.outputs, noted=noted(ran))
        assert jobs not in ran.resources[drain]["depends_on"]
        triggers = ran.resources[jobs]["inputs"]["triggers"]
        assert triggers == ["id-of-worker-1", "id-of-worker-2", "again"]


def test_a_text_that_linux_would_refuse_is_refused_before() -> None:
    with pytest.raises(pulumi.RunError, match=r"the command's text has 1\d\d KB"):
        run(changed(build=["x" * 1000] * 140))


PUBLIC = stack_values()["public_key"]
SUBNET = "subnet-0123456789abcdef0"
ORDER = {"all-reached", "worker-2-release", *(f"batch-{n}" for n in range(1, 9))}
