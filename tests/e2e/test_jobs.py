"""Real jobs on a real queue: what a deploy, a kill and a reboot do to them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest

from demo.report import APP, Report, Snapshot, count, runs_query
from lab.client import LabHost
from tests.e2e.conftest import UP, Site, demolished, empty_queue, new_site, wait_until

pytestmark = [pytest.mark.lab, pytest.mark.e2e]
JOBS, LATER = 120, 12
TITLED = '$0 = "shop: working " * 100; load "./worker.rb"'
"""A worker with a title of its own, which stands where its environment did."""
STALL = """
CREATE OR REPLACE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END $$;
CREATE TRIGGER stall AFTER UPDATE ON delayed_jobs FOR EACH ROW WHEN (NEW.locked_by IS NOT NULL)
EXECUTE FUNCTION stall()
"""
"""Whoever takes a job waits within the statement while somebody has that lock."""
HOLD = """
CREATE OR REPLACE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'no job of shop-2 is given back'; END $$;
CREATE TRIGGER hold BEFORE UPDATE ON delayed_jobs FOR EACH ROW
WHEN (OLD.locked_by LIKE 'shop-2.%' AND NEW.locked_by IS NULL) EXECUTE FUNCTION hold()
"""
FORKS = """\
home, name = Dir.home, ENV["WORKER_NAME"]
told = "#{home}/told.#{name}"
trap("TERM") { File.write(told, "") }
pid = fork do
  trap("TERM", "DEFAULT")
  File.write("#{home}/begun", "#{name}\\n", mode: "a")
  sleep 0.1 until File.exist?(told)
  File.write("#{home}/finished", "#{name}\\n", mode: "a")
end
Process.wait(pid)
sleep 0.1 until File.exist?(told)
"""
"""A worker that has a child run its job, which the signal ends as it does all programs."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two hosts with two delayed_job workers each, up."""
    folder = tmp_path_factory.mktemp("shop")
    files = {path.name: path.read_text("utf-8") for path in APP.iterdir() if path.is_file()}
    # by their public addresses, which the lab translates as EC2 does
    settings = {"build[0]": "BUNDLE_FROZEN=true bundle install --local", "connect": "public"}
    site = new_site(folder, "shop", files, hosts=2, settings=settings)
    empty_queue(site.lab)
    with demolished(site):
        site.up()
        yield site


def enqueue(site: Site, jobs: int, seconds: float) -> None:
    """Put that many jobs into the queue."""
    site.enqueue((jobs, seconds, seconds))


def report(site: Site) -> Report:
    return count(Snapshot.of(site.lab.sql(runs_query())))


def locked(site: Site) -> set[str]:
    """The names of the workers that hold a job now."""
    rows = site.lab.sql("SELECT DISTINCT locked_by FROM delayed_jobs WHERE locked_by IS NOT NULL")
    return {row[0] for row in rows}


def test_a_deploy_in_mid_flight_loses_and_repeats_no_job(shop: Site) -> None:
    empty_queue(shop.lab)
    enqueue(shop, JOBS, 0.4)
    wait_until("jobs run", lambda: report(shop).done > 5)
    new = shop.repository.commit({"note": "in mid-flight"})
    shop.up()
    for host in shop.hosts():
        assert shop.runs_from(host) == {new}
        # all have ended by themselves, and hold nothing
        reaps = "journalctl -q -b -o cat -u satellite-shop-reap.service | grep -c ' given back'"
        assert host.run(reaps, check=False).stdout == "0\n"
    enqueue(shop, LATER, 0.4)  # on a slow machine the first are done before the new release works
    jobs = JOBS + LATER
    wait_until("all jobs are done", lambda: report(shop).done == jobs, 120)
    found = report(shop)
    assert found.line() == (
        f"{jobs} of {jobs} done, 0 waiting, 0 lost, 0 twice at once, 0 repeated, 0 cut off"
    )
    assert len({row[0] for row in shop.lab.sql("SELECT DISTINCT revision FROM runs")}) == 2


@pytest.mark.parametrize(
    "meanwhile",
    [
        "true",
        # what asks for it is lost: by the way, with systemd's own upgrade, and killed itself
        "sleep 0.02; systemctl daemon-reexec",
        "for n in $(seq 100); do pkill -9 -f '[s]atellite/agent ended'; sleep 0.01; done",
    ],
)
def test_jobs_of_a_killed_worker_are_given_back_at_once(shop: Site, meanwhile: str) -> None:
    empty_queue(shop.lab)
    enqueue(shop, 8, 6)
    wait_until("four jobs are held", lambda: len(locked(shop)) == 4)
    host = shop.host(1)
    pid = shop.workers(host)["satellite-shop.worker@1.service"]
    dead = {name for name in locked(shop) if name.startswith("shop-1.") and ".worker.1." in name}
    assert len(dead) == 1
    host.run(f"kill -9 {pid}; {meanwhile}")
    wait_until("its job is free", lambda: not dead & locked(shop), 20)
    wait_until("all jobs are done", lambda: report(shop).done == 8)
    found = report(shop)
    assert (found.lost, found.twice_at_once, found.repeats) == ((), (), 1)
    assert not host.run(
        "ls /var/lib/satellite/shop/workers | grep -F " + dead.pop(), check=False
    ).stdout


def test_a_job_that_a_worker_takes_after_its_end_is_given_back(shop: Site) -> None:
    """PostgreSQL goes on with a statement whose client was killed in it, and commits it."""

    def active(words: str) -> int:
        query = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE %s"
        (row,) = shop.lab.sql(f"{query} AND pid <> pg_backend_pid()", f"%{words}%")
        return int(row[0])

    def unreaped() -> list[str]:
        file = "/run/satellite/shop/unreaped.json"
        return [host.run(f"cat {file}", check=False).stdout for host in shop.hosts()]

    empty_queue(shop.lab)
    shop.lab.sql(STALL)
    try:
        with psycopg.connect(os.environ["LAB_DATABASE_URL"]) as session:
            session.execute("SELECT pg_advisory_xact_lock(1)")
            enqueue(shop, 1, 1)
            wait_until("all four are about to take it", lambda: active("SET locked_at") == 4)
            for host in shop.hosts():
                host.run("systemctl kill --signal=KILL 'satellite-shop.worker@*'")
            says = "PostgreSQL still runs statements that may take a job for them only now"
            wait_until("it is said", lambda: all(says in text for text in unreaped()), 120)
            assert locked(shop) == set()
    finally:
        shop.lab.sql("DROP TRIGGER stall ON delayed_jobs")
    wait_until("the job is done", lambda: report(shop).done == 1)
    wait_until("there is nothing left to say", lambda: unreaped() == ["{}\n"] * 2)
    found = report(shop)
    assert (found.lost, found.twice_at_once, found.repeats) == ((), (), 0)


@pytest.mark.parametrize("ruby", ["ruby worker.rb", f"ruby -e '{TITLED}'"])
def test_a_job_behind_a_shell_is_not_given_back_while_it_runs(shop: Site, ruby: str) -> None:
    """The shell ends at once when it is told to; its child finishes the job, which is still its."""
    shop.put("processes.worker.command", f"true; bundle exec {ruby}; true")
    shop.up()
    empty_queue(shop.lab)
    enqueue(shop, 8, 6)
    wait_until("four jobs are held", lambda: len(locked(shop)) == 4)
    shop.repository.commit({"note": f"behind a shell: {ruby}"})
    shop.up()
    wait_until("all jobs are done", lambda: report(shop).done == 8)
    found = report(shop)
    assert (found.lost, found.twice_at_once, found.repeats) == ((), (), 0)
    shop.unset("processes.worker.command")
    shop.up()


@pytest.mark.parametrize("to", ["all", "main"])
def test_a_child_that_had_a_job_finishes_it_or_its_worker_is_told_as_dead(
    shop: Site, to: str
) -> None:
    """The worker itself ends well although its child was ended by the signal."""

    def said(name: str) -> set[str]:
        return {line for h in shop.hosts() for line in said_on(h, name)}

    def said_on(host: LabHost, name: str) -> list[str]:
        return host.run(f"cat /home/shop/{name}", check=False).stdout.split()

    for host in shop.hosts():
        host.run("rm -f /home/shop/begun /home/shop/finished /home/shop/dead")
    shop.repository.commit({"forks.rb": f"# {to}\n{FORKS}"})
    shop.put("processes.worker.command", "exec ruby forks.rb")
    shop.put("processes.worker.on_kill", 'echo "$DEAD_WORKERS" >>~/dead')
    shop.put("processes.worker.signal_to", to)
    shop.up()
    wait_until("all have a job", lambda: len(said("begun")) == 4)
    old = said("begun")
    shop.repository.commit({"note": f"with children: {to}"})
    shop.up()
    wait_until("the old ones are told as dead", lambda: old <= said("dead"))
    assert said("finished") & old == (old if to == "main" else set())
    for name in ("command", "on_kill", "signal_to"):
        shop.unset(f"processes.worker.{name}")
    shop.up()


def test_jobs_of_a_host_whose_power_was_cut_are_given_back_at_boot(shop: Site) -> None:
    empty_queue(shop.lab)
    enqueue(shop, 8, 6)
    wait_until("four jobs are held", lambda: len(locked(shop)) == 4)
    host = shop.host(2)
    dead = {name for name in locked(shop) if name.startswith("shop-2.")}
    assert len(dead) == 2
    host.kill()
    host.reboot()
    wait_until("its jobs are free", lambda: not dead & locked(shop))
    wait_until("all jobs are done", lambda: report(shop).done == 8)
    found = report(shop)
    assert (found.lost, found.twice_at_once, found.repeats) == ((), (), 2)


def test_a_removed_host_finishes_its_jobs_first(shop: Site) -> None:
    empty_queue(shop.lab)
    enqueue(shop, 12, 3)
    wait_until("four jobs are held", lambda: len(locked(shop)) == 4)
    shop.unset("names[1]")
    shop.up()
    assert [host.name for host in shop.hosts()] == ["shop-1"]
    assert not any(name.startswith("shop-2.") for name in locked(shop))
    wait_until("all jobs are done", lambda: report(shop).done == 12)
    found = report(shop)
    assert (found.lost, found.twice_at_once, found.repeats) == ((), (), 0)
    shop.put("names[1]", "shop-2")
    shop.up()


def test_jobs_of_a_dead_host_that_is_declared_lost_are_given_back(shop: Site) -> None:
    empty_queue(shop.lab)
    enqueue(shop, 8, 6)
    wait_until("four jobs are held", lambda: len(locked(shop)) == 4)
    dead, living = (
        {name for name in locked(shop) if name.startswith(f"shop-{n}.")} for n in (2, 1)
    )
    host = shop.host(2)
    host.kill()
    shop.put("hosts.shop-2.lost", "true")
    shop.lab.sql(HOLD)
    ran = shop.satellite("up", "--yes")
    assert ran.returncode == 1, ran
    assert "shop-2 jobs: " in ran.stderr
    assert dead <= locked(shop)
    shop.lab.sql("DROP TRIGGER hold ON delayed_jobs")
    # that failed, and is done by the command that it was to be done by
    for _ in range(2):
        ran = shop.satellite("lost", "shop-2", "--yes")
        assert ran.returncode == 0, ran
        assert not dead & locked(shop)
    assert "shop-2 is lost already; to replace it: satellite roll shop-2" in ran.stderr
    wait_until("all jobs are done", lambda: report(shop).done == 8)
    found = report(shop)
    assert (found.lost, found.twice_at_once, found.repeats) == ((), (), len(dead))
    assert len(dead) == len(living) == 2
    # another machine takes its place
    shop.unset("names[1]")
    shop.unset("hosts.shop-2")
    shop.up()
    shop.put("names[1]", "shop-2")
    shop.up()


def test_a_host_rolled_to_a_new_image_while_jobs_run_loses_none(shop: Site) -> None:
    shop.put("names[2]", "shop-3")
    shop.up()
    old = {host.name: host.instance_id for host in shop.hosts()}
    empty_queue(shop.lab)
    enqueue(shop, 300, 1)
    wait_until("six jobs are held", lambda: len(locked(shop)) == 6)
    image = shop.lab.ec2.register_image(Name="debian-next", RootDeviceName="/dev/xvda")["ImageId"]
    shop.put("hosts.shop-2.ami", image)
    shop.put("roll[0]", "shop-2")
    shop.up()
    new = {host.name: host.instance_id for host in shop.hosts()}
    assert {name for name in old if old[name] != new[name]} == {"shop-2"}
    enqueue(shop, 36, 1)  # on a slow machine the first are done before the new one works
    wait_until("all jobs are done", lambda: report(shop).done == 336, 120)
    found = report(shop)
    assert found.line() == (
        "336 of 336 done, 0 waiting, 0 lost, 0 twice at once, 0 repeated, 0 cut off"
    )
    done_by = {row[0].split(".")[1] for row in shop.lab.sql("SELECT DISTINCT worker FROM runs")}
    assert done_by == {*old.values(), *new.values()}


def test_jobs_of_an_instance_that_was_gone_before_it_was_declared_lost_are_given_back(
    shop: Site,
) -> None:
    """Another one is in its place by then."""
    empty_queue(shop.lab)
    enqueue(shop, 8, 12)  # longer than it takes to cut its power on a busy machine
    host = shop.host(2)

    def holds() -> bool:
        return any(name.startswith("shop-2.") for name in locked(shop))

    wait_until("it holds a job", holds)
    host.kill()
    held = {name for name in locked(shop) if name.startswith("shop-2.")}
    shop.lab.ec2.terminate_instances(InstanceIds=[host.instance_id])
    terminated = shop.lab.ec2.get_waiter("instance_terminated")
    terminated.wait(InstanceIds=[host.instance_id], WaiterConfig={"Delay": 1})
    shop.pulumi("refresh", "--yes")
    ran = shop.satellite("lost", "shop-2", "--yes")
    assert ran.returncode == 0, ran
    assert f"jobs of shop-2, machine {host.instance_id}, were given back" in ran.stderr
    assert held
    assert not held & locked(shop)
    ran = shop.satellite("lost", "shop-2", "--undo", "--yes")
    assert ran.returncode == 0, ran
    assert shop.host(2).instance_id != host.instance_id
    wait_until("all jobs are done", lambda: report(shop).done == 8, 120)
    found = report(shop)
    assert (found.lost, found.twice_at_once, found.repeats) == ((), (), len(held))


def test_jobs_of_hosts_that_died_together_are_given_back_by_what_replaces_them(shop: Site) -> None:
    """Nobody was left to do it when they were declared lost."""
    empty_queue(shop.lab)
    enqueue(shop, 8, 6)
    wait_until("jobs are held", lambda: len(locked(shop)) >= 4)
    names, machines = zip(*((h.name, h.instance_id) for h in shop.hosts()), strict=True)
    for host in shop.hosts():
        host.kill()
    held = locked(shop)
    ran = shop.satellite("lost", *names, "--yes")
    assert ran.returncode == 0, ran
    assert locked(shop) == held
    shop.lab.ec2.terminate_instances(InstanceIds=machines)
    terminated = shop.lab.ec2.get_waiter("instance_terminated")
    terminated.wait(InstanceIds=machines, WaiterConfig={"Delay": 1})
    shop.pulumi("refresh", "--yes")
    ran = shop.satellite("lost", *names, "--undo", "--yes")
    assert ran.returncode == 0, ran
    for name, machine in zip(names, machines, strict=True):
        assert f"jobs of {name}, machine {machine}, were given back" in ran.stderr
    assert not held & locked(shop)
    wait_until("all jobs are done", lambda: report(shop).done == 8, 120)
    found = report(shop)
    assert (found.lost, found.twice_at_once, found.repeats) == ((), (), len(held))


def test_a_host_that_is_dead_is_not_rolled_and_the_jobs_of_one_that_was_are_given_back(
    shop: Site,
) -> None:
    """By what the errors name, and nothing else."""
    empty_queue(shop.lab)
    enqueue(shop, 8, 6)

    def of_the_second() -> set[str]:
        return {name for name in locked(shop) if name.startswith("shop-2.")}

    wait_until("it holds jobs, too", lambda: len(locked(shop)) >= 4 and bool(of_the_second()))
    dead, machines = shop.host(2), [host.instance_id for host in shop.hosts()]
    dead.kill()
    held = of_the_second()
    assert held
    ran = shop.satellite("roll", "shop-2", "--again", "--yes")
    assert ran.returncode == 1, ran
    assert "shop-2: " in ran.stderr
    assert "satellite lost shop-2, then this again" in ran.stderr
    assert [host.instance_id for host in shop.hosts()] == machines

    # by the settings alone it is rolled all the same
    shop.put("hosts.shop-2.instance_type", "t3.large")
    shop.put("roll[0]", "shop-2")
    ran = shop.satellite("up", "--yes")
    assert ran.returncode == 1, ran
    shop.unset("roll")
    (new,) = {host.instance_id for host in shop.hosts()} - {*machines}
    assert f"  {dead.instance_id}, which shop-2 was, is not drained; {new} is there" in ran.stderr
    line = "satellite lost shop-2"
    assert f"off for good: {line}\n" in ran.stderr
    assert held <= locked(shop)
    ran = shop.typed(f"{line} --yes")
    assert ran.returncode == 0, ran
    assert f"jobs of shop-2, machine {dead.instance_id}, were given back" in ran.stdout
    assert not held & locked(shop)
    assert "lost" not in shop.pulumi("config", "--json")
    assert shop.host(2).instance_id == new
    enqueue(shop, 8, 6)
    wait_until("the next machine works", lambda: any(new in name for name in locked(shop)))
    wait_until("all jobs are done", lambda: report(shop).done == 16, 120)
    found = report(shop)
    assert (found.lost, found.twice_at_once, found.repeats) == ((), (), len(held))
    ran = shop.satellite("doctor")
    assert ran.returncode == 0, ran
    shop.pulumi(*UP, "--expect-no-changes")
