"""Instances come, go, grow and change their name; whoever is not meant is not touched."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from satellite_infra.role import FOR_INSTANCES
from tests.e2e.conftest import PLAIN_APP, UP, Site, demolished, new_site

pytestmark = [pytest.mark.lab, pytest.mark.e2e]
POLICY = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
ALERT_URL = "https://alerts.example.com/integration/canary-5d1f/enqueue"
DESTROY = ("destroy", "--yes", "--skip-preview")


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Three hosts with two shell workers each, up."""
    folder = tmp_path_factory.mktemp("trio")
    settings = {"auto_recover": "true", "app_metadata": "allowed", "app_policies[0]": POLICY}
    settings |= {"alerts.emails[0]": "ops@example.com", "alerts.cpu_minutes": "10"}
    site = new_site(folder, "trio", PLAIN_APP, hosts=3, settings=settings)
    site.stack.configure({}, {"satellite:alert_urls[0]": ALERT_URL})
    with demolished(site):
        site.up()
        yield site


def machines(site: Site) -> dict[str, tuple[str, int]]:
    """Instance id and SSH connections of each host, by name."""
    return {host.name: (host.instance_id, host.ssh_connections()) for host in site.hosts()}


def changed(output: str) -> set[str]:
    """The hosts that any resource belongs to which an `up` made, changed or deleted."""
    words = ("created", "updated", "replaced", "deleted")
    lines = [line.split() for line in output.partition("Resources:")[0].splitlines()]
    names = {line[2] for line in lines if len(line) > 3 and line[3] in words}
    return {"-".join(name.split("-")[:2]) for name in names if name.startswith("trio-")}


def test_each_instance_has_the_role_and_alarms_and_nothing_drifts(trio: Site) -> None:
    iam, ids = boto3.client("iam"), [host.instance_id for host in trio.hosts()]
    (role,) = (r for r in iam.list_roles()["Roles"] if r["RoleName"].startswith("satellite-trio"))
    assert role["AssumeRolePolicyDocument"] == FOR_INSTANCES
    attached = iam.list_attached_role_policies(RoleName=role["RoleName"])["AttachedPolicies"]
    assert [policy["PolicyArn"] for policy in attached] == [POLICY]
    for reservation in trio.lab.ec2.describe_instances(InstanceIds=ids)["Reservations"]:
        name = reservation["Instances"][0]["IamInstanceProfile"]["Arn"].rpartition("/")[2]
        profile = iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
        assert [r["RoleName"] for r in profile["Roles"]] == [role["RoleName"]]
    sns = boto3.client("sns")
    topics = (topic["TopicArn"] for topic in sns.list_topics()["Topics"])
    (told,) = (arn for arn in topics if ":satellite-trio-" in arn)
    subscribed = sns.list_subscriptions_by_topic(TopicArn=told)["Subscriptions"]
    assert {(each["Protocol"], each["Endpoint"]) for each in subscribed} == {
        ("email", "ops@example.com"),
        ("https", ALERT_URL),
    }
    assert ALERT_URL not in trio.pulumi("stack", "export")
    alarms = [
        alarm
        for alarm in boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]
        if alarm["AlarmName"].startswith("trio-")
    ]
    assert [alarm["OKActions"] for alarm in alarms] == [[told]] * len(alarms)
    assert {
        (alarm["Dimensions"][0]["Value"], alarm["MetricName"], *alarm["AlarmActions"])
        for alarm in alarms
    } == {
        (id_, *watched)
        for id_ in ids
        for watched in (
            ("StatusCheckFailed_System", "arn:aws:automate:us-east-1:ec2:recover", told),
            ("StatusCheckFailed_Instance", told),
            ("CPUUtilization", told),
        )
    }
    hosts = json.loads(trio.pulumi("stack", "output", "hosts", "--json"))
    page = "https://us-east-1.console.aws.amazon.com/ec2/home?region=us-east-1#InstanceDetails:"
    assert [host["console"] for host in hosts] == [f"{page}instanceId={id_}" for id_ in ids]
    before = machines(trio)
    trio.pulumi(*UP, "--refresh", "--expect-no-changes")
    assert machines(trio) == before


def test_who_may_do_nothing_in_aws_any_more_has_no_role(trio: Site) -> None:
    def associated() -> set[str]:
        found = trio.lab.ec2.describe_iam_instance_profile_associations()
        return {a["InstanceId"] for a in found["IamInstanceProfileAssociations"]}

    ids = {host.instance_id for host in trio.hosts()}
    assert associated() >= ids
    trio.unset("app_policies")
    trio.up()
    assert not associated() & ids
    trio.put("app_policies[0]", POLICY)
    trio.up()
    assert associated() >= ids


def test_existing_security_groups_are_joined_and_left_in_place(trio: Site) -> None:
    ec2, (first, second, _) = trio.lab.ec2, trio.hosts()
    mates = ec2.create_security_group(
        GroupName="mates", Description="SSH to each other", VpcId=os.environ["LAB_VPC"]
    )["GroupId"]
    peers = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
    ec2.authorize_security_group_ingress(
        GroupId=mates, IpPermissions=[{**peers, "UserIdGroupPairs": [{"GroupId": mates}]}]
    )
    own = trio.pulumi("stack", "output", "security_group").strip()
    ids = [host.instance_id for host in trio.hosts()]

    def reaches() -> bool:
        command = f"timeout 2 bash -c '</dev/tcp/{second.address}/22'"
        return first.run(command, check=False).returncode == 0

    def groups() -> list[set[str]]:
        found = ec2.describe_instances(InstanceIds=ids)["Reservations"]
        seen = [reservation["Instances"][0]["NetworkInterfaces"][0] for reservation in found]
        return [{group["GroupId"] for group in interface["Groups"]} for interface in seen]

    assert (groups(), reaches()) == ([{own}] * 3, False)
    trio.put("security_group_ids[0]", mates)
    assert "-release" not in trio.up()
    assert (groups(), reaches()) == ([{own, mates}] * 3, True)
    trio.unset("security_group_ids")
    trio.up()
    assert (groups(), reaches()) == ([{own}] * 3, False)
    ec2.delete_security_group(GroupId=mates)
    assert [host.instance_id for host in trio.hosts()] == ids


def test_an_added_host_a_removed_one_and_a_new_name_touch_no_other(trio: Site) -> None:
    before = machines(trio)
    trio.put("names[3]", "trio-4")
    assert changed(trio.up()) == {"trio-4"}
    after = machines(trio)
    assert {name: after[name] for name in before} == before
    assert len(trio.workers(trio.host(4))) == 2

    trio.unset("names[1]")  # from the middle: 1, 3, 4
    assert changed(trio.up()) == {"trio-2"}
    del after["trio-2"]
    assert machines(trio) == after

    trio.put("names[1]", "trio-5")  # instead of trio-3
    assert changed(trio.up()) == {"trio-3", "trio-5"}
    renamed = machines(trio)
    assert renamed.keys() == {"trio-1", "trio-4", "trio-5"}
    assert {name: renamed[name] for name in ("trio-1", "trio-4")} == {
        name: after[name] for name in ("trio-1", "trio-4")
    }
    trio.unset("names")
    for n in range(3):
        trio.put(f"names[{n}]", f"trio-{n + 1}")
    trio.up()


def test_a_disk_grows_in_place_and_a_pinned_image_is_for_new_machines_only(trio: Site) -> None:
    before = machines(trio)
    old = trio.host(2)
    image = trio.lab.ec2.register_image(
        Name="debian-12-amd64-2", RootDeviceName="/dev/xvda", Architecture="x86_64"
    )["ImageId"]
    trio.put("root_volume_gb", "30")
    trio.put("hosts.trio-2.root_volume_gb", "40")
    trio.put("hosts.trio-2.ami", image)
    differs = f"has {os.environ['LAB_AMI']}, and satellite:hosts.trio-2.ami says {image}"
    assert f"trio-2 {differs}: satellite roll trio-2" in trio.up()
    assert json.loads(trio.pulumi("stack", "output", "to_roll", "--json")) == {"trio-2": differs}
    assert machines(trio) == before
    disks = trio.lab.ec2.describe_volumes()["Volumes"]
    sizes = {tag["Value"]: disk["Size"] for disk in disks for tag in disk["Tags"]}
    assert [sizes[f"trio-{n}"] for n in (1, 2, 3)] == [30, 40, 30]
    trio.put("roll[0]", "trio-2")
    trio.up()
    new = trio.host(2)
    seen = trio.lab.ec2.describe_instances(InstanceIds=[new.instance_id])["Reservations"][0]
    assert new.instance_id != old.instance_id
    assert json.loads(trio.pulumi("stack", "output", "to_roll", "--json")) == {}
    assert seen["Instances"][0]["ImageId"] == image
    assert {name: machine for name, machine in machines(trio).items() if name != new.name} == {
        name: machine for name, machine in before.items() if name != new.name
    }
    trio.unset("roll")
    trio.unset("hosts")
    now = machines(trio)
    assert "New size cannot be smaller than existing size" in trio.fails(*UP)
    assert machines(trio) == now
    trio.put("root_volume_gb", "40")
    trio.up()


def test_the_newest_image_is_looked_up_for_new_hosts_only(trio: Site) -> None:
    def register(day: str) -> str:
        image: str = trio.lab.ec2.register_image(
            Name=f"worker-{day}", RootDeviceName="/dev/xvda", Architecture="x86_64"
        )["ImageId"]
        return image

    register("20260101")
    trio.unset("ami")
    trio.put("ami_lookup.owner", "self")
    trio.put("ami_lookup.name", "no-such-image-*")
    out = trio.fails("preview")
    assert "satellite:ami_lookup: no image of owner self is named no-such-image-*" in out
    assert "Traceback" not in out

    image = register("20260201")
    trio.put("ami_lookup.name", "worker-2026*")
    before = machines(trio)
    trio.put("names[3]", "trio-4")
    trio.up()
    new = trio.host(4).instance_id
    seen = trio.lab.ec2.describe_instances(InstanceIds=[new])["Reservations"][0]["Instances"][0]
    assert seen["ImageId"] == image
    after = machines(trio)
    assert {name: after[name] for name in before} == before
    trio.unset("names[3]")
    trio.up()


def test_the_ssh_config_output_is_all_that_a_login_needs(trio: Site, tmp_path: Path) -> None:
    config, key = tmp_path / "config", trio.stack.project.parent / "key"
    config.write_text(trio.pulumi("stack", "output", "ssh_config"), encoding="utf-8")

    def login(name: str) -> subprocess.CompletedProcess[str]:
        command = [
            "ssh",
            "-F",
            str(config),
            "-i",
            str(key),
            "-o",
            "BatchMode=yes",
            name,
            "hostname -I",
        ]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    for host in trio.hosts():
        assert host.address in login(host.name).stdout
    # the pinned key is what counts
    first, second = trio.host(1), trio.host(2)
    config.write_text(config.read_text("utf-8").replace(first.address, second.address), "utf-8")
    refused = login("trio-1")
    assert (refused.returncode, refused.stdout) == (255, "")
    assert "Host key verification failed" in refused.stderr


@pytest.fixture
def protected(tmp_path: Path) -> Iterator[Site]:
    """Two protected hosts, with alarms."""
    settings = {"protect": "true", "auto_recover": "true", "alerts.emails[0]": "ops@example.com"}
    site = new_site(tmp_path / "kept", "kept", PLAIN_APP, hosts=2, settings=settings)
    with demolished(site):
        try:
            site.up()
            yield site
        finally:
            site.put("protect", "false")
            site.up()


def alarms(site: Site) -> set[str]:
    """The names of the instances' alarms, without what Pulumi adds."""
    found = boto3.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{site.app}-")
    return {alarm["AlarmName"].rpartition("-")[0] for alarm in found["MetricAlarms"]}


def test_a_protected_host_goes_in_two_steps_and_is_never_drained_before(protected: Site) -> None:
    def seen() -> list[object]:
        hosts = protected.hosts()
        each = [(h.name, protected.workers(h), h.ssh_connections()) for h in hosts]
        return [*each, alarms(protected)]

    before = seen()

    def untouched() -> bool:
        return before == seen()

    for how in (("preview",), ("up", "--yes"), UP):
        protected.unset("names[1]")
        out = protected.fails(*how)
        assert "kept-2" in out, out
        assert "protect" in out, out
        assert untouched(), how
        protected.put("names[1]", "kept-2")
    for how in (("destroy", "--yes"), DESTROY):
        out = protected.fails(*how)
        assert "protect" in out, out
        assert untouched(), how
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        protected.lab.ec2.terminate_instances(InstanceIds=[protected.host(1).instance_id])

    protected.up()  # what a refused `up` or `destroy` forgot is learnt again
    protected.put("roll[0]", "kept-1")
    assert "satellite:roll: should hold no protected host" in protected.fails("preview")
    protected.unset("roll")

    kept = machines(protected)
    watched = {f"kept-{n}-{what}" for n in (1, 2) for what in ("cpu", "instance-check")}
    assert alarms(protected) == watched | {"kept-1-recover", "kept-2-recover"}
    protected.put("auto_recover", "false")
    protected.up()  # its alarms may go, and come back
    assert alarms(protected) == watched | {"kept-1-system-check", "kept-2-system-check"}
    protected.put("auto_recover", "true")
    protected.unset("alerts")
    protected.up()
    assert alarms(protected) == {"kept-1-recover", "kept-2-recover"}
    assert machines(protected) == kept

    protected.put("hosts.kept-2.protect", "false")
    workers = protected.workers(protected.host(2))
    protected.up()
    assert protected.workers(protected.host(2)) == workers
    protected.unset("hosts")
    protected.unset("names[1]")
    protected.up()
    assert [host.name for host in protected.hosts()] == ["kept-1"]
