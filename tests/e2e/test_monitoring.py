"""Each trouble arrives at its sink once, with host, process, reason and what to do, and its end."""

from __future__ import annotations

import ipaddress
import json
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from demo.report import APP
from lab.client import LabHost
from lab.network import GATEWAY, METADATA
from satellite_infra.role import TELL_NUMBERS
from tests.e2e.conftest import CANARY, UP, Site, demolished, empty_queue, new_site, wait_until
from tests.fakes import alarms
from tests.fakes.answers import answering
from tests.fakes.hook import Hook
from tests.fakes.imds import Metadata
from tests.fakes.imds import serving as metadata_service
from tests.fakes.smtp import Mailbox, receiving

pytestmark = [pytest.mark.lab, pytest.mark.e2e]
SMTP, HTTPS, HTTP = 2525, 8443, 8080
# a worker that is as large as it is told to be
HUNGRY = """\
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
grow, held = f"/tmp/grow-{os.environ['PS']}", b""
while True:
    if os.path.exists(grow) != bool(held):
        held = b"" if held else b"." * (150 << 20)
    if os.path.exists(f"/tmp/write-{os.environ['PS']}") and not os.path.exists("written"):
        with open("written", "wb") as file:
            file.write(b"." * (150 << 20))
    time.sleep(0.5)
"""
AGE = 15  # seconds
DUE = "run_at <= now() AT TIME ZONE 'UTC' AND locked_at IS NULL AND failed_at IS NULL"
SQL = (
    f"SELECT count(*), extract(epoch FROM (now() AT TIME ZONE 'UTC') - min(run_at))\n"
    f"FROM delayed_jobs WHERE {DUE}; -- the oldest"
)
# monit sees a small disk as its `/`, with the machine's own folders in it
SMALL_DISK = """\
[Service]
RootDirectory=/small
MountAPIVFS=yes
BindPaths=/usr /etc /var /run /tmp
"""


@dataclass
class Watched:
    """A site, and the sinks that hear of it."""

    site: Site
    mail: Mailbox
    hook: Hook
    hook_url: str
    topic: Hook
    role: Metadata

    @property
    def host(self) -> LabHost:
        return self.site.host(1)

    def mails(self, check: str) -> list[tuple[str, str]]:
        """Subject and text of the mails about a check."""
        found = [(str(m["Subject"]), m.get_content()) for m in self.mail.mails]
        head = f"watched {self.site.stack.name} on watched-1: {check}, "
        return [(subject.removeprefix(head), text) for subject, text in found if head in subject]

    def told(self, check: str, times: int) -> list[tuple[str, str]]:
        """The same, when so many have come, and a while later not one more."""
        wait_until(f"mail {times} of {check}", lambda: len(self.mails(check)) >= times, 180)
        time.sleep(12)  # two more looks
        assert len(self.mails(check)) == times
        return self.mails(check)


def certificate(folder: Path) -> tuple[ssl.SSLContext, str]:
    """A server's TLS for the gateway's address, and the certificate that who asks has to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sink")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(GATEWAY))]), False
        )
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "sink.pem").write_bytes(private + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "sink.pem")
    return context, pem.decode()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """One host with two delayed_job workers and two hungry ones, watched in every way, up."""
    folder = tmp_path_factory.mktemp("watched")
    files = {path.name: path.read_text("utf-8") for path in APP.iterdir() if path.is_file()}
    files |= {"hungry.py": HUNGRY, "Procfile": files["Procfile"] + "hungry: python3 hungry.py\n"}
    settings = {
        "build[0]": "BUNDLE_FROZEN=true bundle install --local",
        "processes.worker.alert.restarts": "1",
        "processes.hungry.quantity": "2",
        "processes.hungry.alert.memory": "100M",
        "processes.hungry.alert.restarts": "1",
        "monit.mail_to[0]": "ops@example.com",
        "monit.mail_from": "satellite@example.com",
        "monit.smtp_host": GATEWAY,
        "monit.smtp_port": str(SMTP),
        "monit.smtp_tls": "false",
        "monit.every_seconds": "5",
        "monit.disk_percent": "80",
        "monit.load_per_core": "100",
        "alerts.emails[0]": "ops@example.com",
        "queue.delayed_job": "true",
        "queue.age_seconds": str(AGE),
        "queue.depth": "100",
        "queue.minutes": "1",
    }
    site = new_site(folder / "site", "watched", files, hosts=1, settings=settings)
    empty_queue(site.lab)
    hook, topic, role = Hook(), Hook(), Metadata("", "", "", role="")
    tls, trusted = certificate(folder)
    with (
        receiving(GATEWAY, SMTP) as mail,
        answering(hook, GATEWAY, HTTPS, tls) as url,
        answering(topic, GATEWAY, HTTP) as subscriber,
        metadata_service(role, METADATA, 80),
        demolished(site),
    ):
        site.up()
        host = site.host(1)
        trust = "cat >/usr/local/share/ca-certificates/sink.crt && update-ca-certificates"
        host.run(trust, input=trusted)
        drop_in = "/etc/systemd/system/satellite-watched-queue.service.d"
        setting = f"[Service]\nEnvironment=AWS_ENDPOINT_URL_CLOUDWATCH=http://{GATEWAY}:4566\n"
        host.run(f"mkdir {drop_in} && cat >{drop_in}/lab.conf", input=setting)
        host.run("systemctl daemon-reload")
        topics = (each["TopicArn"] for each in boto3.client("sns").list_topics()["Topics"])
        (arn,) = (arn for arn in topics if ":satellite-watched-" in arn)
        subscription = {"TopicArn": arn, "Protocol": "http", "Endpoint": subscriber}
        boto3.client("sns").subscribe(**subscription)
        topic.heard.clear()  # the confirmation
        yield Watched(site, mail, hook, url, topic, role)


def assume_role(watched: Watched) -> None:
    """The metadata hands out the role of the instance's own profile, as EC2's does."""
    iam, lab = boto3.client("iam"), watched.site.lab
    ids = [watched.host.instance_id]
    instance = lab.ec2.describe_instances(InstanceIds=ids)["Reservations"][0]["Instances"][0]
    profile = instance["IamInstanceProfile"]["Arn"].rpartition("/")[2]
    (role,) = iam.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]
    name = role["RoleName"]
    (policy,) = iam.list_role_policies(RoleName=name)["PolicyNames"]
    document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
    assert document == TELL_NUMBERS
    sts = boto3.client("sts")
    found = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="i-0123456789abcdef0")[
        "Credentials"
    ]
    watched.role.id, watched.role.secret = found["AccessKeyId"], found["SecretAccessKey"]
    watched.role.token, watched.role.role = found["SessionToken"], name


def test_a_killed_worker_is_told_once_and_its_end_although_the_mail_server_is_busy_first(
    watched: Watched,
) -> None:
    unit = "satellite-watched.worker@1.service"
    pid = watched.site.workers(watched.host)[unit]
    watched.mail.busy = 1
    watched.host.run(f"kill -9 {pid}")
    ((subject, text),) = watched.told("watched.worker.restarts", 1)
    assert watched.mail.put_off == 1
    assert subject == "Status failed"
    assert f"{unit}: ended early once and was started again: journalctl -u '{unit}' says" in text
    assert "While it lasts, on the host: journalctl -u 'satellite-watched.*'; " in text
    # ten quiet minutes later
    watched.host.run(f"touch --date='1 hour ago' /run/satellite/watched/ends/{unit}")
    assert watched.told("watched.worker.restarts", 2)[1][0] == "Status succeeded"


def test_a_worker_above_its_memory_threshold(watched: Watched) -> None:
    watched.host.run("touch /tmp/grow-hungry.1")
    ((subject, text),) = watched.told("watched.hungry.memory", 1)
    assert subject == "Status failed"
    assert "hungry.1: memory 1" in text
    assert (
        "MB, more than 100M: look at its jobs, or set satellite:processes.hungry.memory_max" in text
    )
    # another trouble of the same type meanwhile is told, too
    unit = "satellite-watched.hungry@2.service"
    watched.host.run(f"kill -9 {watched.site.workers(watched.host)[unit]}")
    assert unit in watched.told("watched.hungry.restarts", 1)[0][1]
    watched.host.run("rm /tmp/grow-hungry.1")
    watched.host.run(f"touch --date='1 hour ago' /run/satellite/watched/ends/{unit}")
    for check in ("memory", "restarts"):
        assert watched.told(f"watched.hungry.{check}", 2)[1][0] == "Status succeeded"


def test_a_file_that_a_worker_has_written_is_not_its_memory(watched: Watched) -> None:
    """The kernel caches it for as long as nobody else needs the room."""
    host, unit = watched.host, "satellite-watched.hungry@1.service"
    host.run("touch /tmp/write-hungry.1")
    show = f"systemctl show --property=MemoryCurrent --value {unit}"
    wait_until("it is counted", lambda: int(host.run(show).stdout) > 150 << 20)
    check = "/usr/local/lib/satellite/agent check --app watched --type hungry --memory 100M"
    wait_until("it is no alarm", lambda: host.run(check))
    assert int(host.run(show).stdout) > 150 << 20


def test_a_full_disk(watched: Watched) -> None:
    host = watched.host
    host.run("mkdir /small && mount -t tmpfs -o size=20m small /small")
    host.run("for name in bin sbin lib lib64; do ln -s usr/$name /small/$name; done")
    host.run("mkdir /etc/systemd/system/monit.service.d")
    host.run("cat >/etc/systemd/system/monit.service.d/lab.conf", input=SMALL_DISK)
    host.run("systemctl daemon-reload && systemctl restart monit")
    host.run("fallocate --length=18M /small/log")
    ((subject, text),) = watched.told("watched-disk", 1)
    assert subject == "Resource limit matched"
    assert "matches resource limit [space usage > 80.0%]" in text
    assert "du -xh / | sort -h | tail -n 30; fewer satellite:keep_releases, or a larger" in text
    host.run("rm /small/log")
    assert watched.told("watched-disk", 2)[1][0] == "Resource limit succeeded"


def test_a_failed_release_is_told_once_although_the_hook_fails_first(watched: Watched) -> None:
    site = watched.site
    old = site.revision(watched.host)
    site.stack.configure({}, {"satellite:release_webhook": f"{watched.hook_url}/{CANARY}"})
    watched.hook.answers = [503, 0]
    bad = site.repository.commit(
        {"hungry.py": "import os\nraise SystemExit(os.environ['CANARY'])\n"}
    )
    out = site.fails(*UP)
    assert CANARY not in out
    wait_until("the hook hears of it", lambda: watched.hook.heard, 120)
    site.repository.commit({"hungry.py": HUNGRY})
    site.up()
    wait_until("the hook hears of its end", lambda: len(watched.hook.heard) == 2, 120)
    failed, good = (message["text"].splitlines() for message in watched.hook.heard)
    assert failed[0].startswith(f"watched {site.stack.name} on watched-1: release of {bad[:12]} ")
    assert "FAILED after" in failed[0]
    assert "in phase `gate`: satellite-watched.hungry@" in failed[0]
    assert failed[-2].startswith("The host runs its last good release, ")
    assert old[:7] in failed[-2]
    assert failed[-1].startswith("Next: mend the cause and deploy again (")
    assert ": good after " in good[0]


def datapoints(metric: str, since: float) -> list[float]:
    """What the host has told of it since then, oldest first."""
    found = boto3.client("cloudwatch").get_metric_statistics(
        Namespace="Satellite",
        MetricName=metric,
        Dimensions=[
            {"Name": "App", "Value": "watched"},
            {"Name": "Environment", "Value": "watched-test"},
            {"Name": "Queue", "Value": "default"},
        ],
        StartTime=datetime.fromtimestamp(since, UTC),
        EndTime=datetime.now(UTC) + timedelta(minutes=1),
        Period=60,
        Statistics=["Maximum"],
    )["Datapoints"]
    return [point["Maximum"] for point in sorted(found, key=lambda point: point["Timestamp"])]


def evaluated(ahead: float = 0) -> dict[str, str]:
    """What of the queue's alarms changes now, or in so many seconds."""
    clients = boto3.client("cloudwatch"), boto3.client("sns")
    return alarms.evaluate(*clients, "queue-", time.time() + ahead)


def becomes(state: str) -> Callable[[], bool]:
    """Whether the alarm of the age is that, now that it was looked at."""

    def is_that() -> bool:
        evaluated()
        (found,) = boto3.client("cloudwatch").describe_alarms(AlarmNamePrefix="queue-age")[
            "MetricAlarms"
        ]
        return bool(found["StateValue"] == state)

    return is_that


def test_a_stuck_queue(watched: Watched) -> None:
    site, host = watched.site, watched.host
    before = site.workers(host)
    unit = "satellite-watched-queue.service"
    assert host.run("runuser -u watched -- curl -s -m 5 http://169.254.169.254", False).returncode
    # no role yet: one line says so, and what happens next
    failed = host.run(f"systemctl start {unit}", check=False)
    assert failed.returncode
    assert "the instance has no role yet" in host.run(f"journalctl -u {unit}").stdout
    assume_role(watched)
    host.run(f"systemctl start {unit}")
    wait_until("the alarm for what was missing ends", becomes("OK"), 180)
    watched.topic.heard.clear()

    began = time.time()
    pids = " ".join(pid for name, pid in before.items() if ".worker@" in name)
    host.run(f"kill -STOP {pids}")
    site.enqueue((3, 0.1, 0.1))
    wait_until(
        "the timer tells of it", lambda: max(datapoints("QueueAge", began), default=0) > AGE, 240
    )
    assert max(datapoints("QueueDepth", began)) == 3
    wait_until("the alarm", becomes("ALARM"), 180)
    host.run(f"kill -CONT {pids}")
    wait_until("its end", becomes("OK"), 240)
    # one that no longer reports is stuck as well
    assert evaluated(ahead=3600) == {"QueueAge": "ALARM"}
    wait_until("it was said", lambda: len(watched.topic.heard) == 3, 30)
    alarm, over, silence = watched.topic.heard
    assert [m["Subject"].split(":")[0] for m in (alarm, over, silence)] == ["ALARM", "OK", "ALARM"]
    message = json.loads(alarm["Message"])
    assert message["NewStateValue"] == "ALARM"
    told = message["AlarmDescription"]
    assert f"Queue default of watched, {site.stack.name}: for 1 minute its oldest job has" in told
    assert "or watched-1 did not say for how long: look at the workers: journalctl" in told
    assert watched.role.refused == []
    assert site.workers(host) == before


def test_sql_and_a_command_measure_it_as_well_and_its_removal_leaves_nothing(
    watched: Watched,
) -> None:
    site, host = watched.site, watched.host
    before = site.workers(host)
    pids = " ".join(pid for name, pid in before.items() if ".worker@" in name)
    host.run(f"kill -STOP {pids}")
    site.enqueue((2, 0.1, 0.1))
    site.unset("queue.delayed_job")
    journal = "journalctl -u satellite-watched-queue.service -n 5 -o cat"
    ask = "j = Delayed::Job.where(locked_at: nil); puts j.count, Time.now - j.minimum(:run_at)"
    for how, setting in (
        ("queue.sql", SQL),
        ("queue.command", f"bundle exec ruby -r./app -e '{ask}' | xargs"),
    ):
        site.put(how, setting)
        site.up()
        host.run("systemctl start satellite-watched-queue.service")
        said = host.run(journal).stdout
        assert "queue default: 2 jobs could run, the oldest of them for " in said, said
        site.unset(how)
    host.run(f"kill -CONT {pids}")
    site.unset("queue")
    site.up()
    assert host.run("ls /etc/systemd/system").stdout.count("watched-queue.timer") == 0
    assert host.run("systemctl list-timers --all").stdout.count("watched-queue") == 0
    assert not host.run("cat /var/lib/satellite/watched/queue.json", check=False).stdout
    prefix = {"AlarmNamePrefix": "queue-"}
    assert boto3.client("cloudwatch").describe_alarms(**prefix)["MetricAlarms"] == []
    assert site.workers(host) == before


def test_the_canary_is_in_nothing_that_any_sink_has_heard(watched: Watched) -> None:
    mails = [mail.as_string() for mail in watched.mail.mails]
    metrics = boto3.client("cloudwatch").list_metrics(Namespace="Satellite")["Metrics"]
    heard = [*watched.hook.heard, *watched.topic.heard]
    assert mails
    assert watched.hook.heard
    assert watched.topic.heard
    names = {name["Name"] for metric in metrics for name in metric["Dimensions"]}
    assert names == {"App", "Environment", "Queue"}
    journal = watched.host.run("journalctl --quiet --unit='satellite-watched-*'").stdout
    for text in (*mails, json.dumps([heard, metrics]), journal):
        assert CANARY not in text
