"""The pull request's comment, from previews as the engine tells them."""

from __future__ import annotations

from typing import Any

import pytest

from ci import manifests
from ci.blocks import LONGEST, NOTE, Block
from ci.comment import LATER, Seen, approved, comment, ranges
from satellite_infra.agent import flat
from satellite_infra.host_identity import host_identity
from satellite_infra.key_text import fingerprint
from satellite_infra.naming import INSTANCE
from satellite_infra.reach import COMMAND
from tests.infra.conftest import SEED

OLD, NEW = "0f1e2d3c4b5a69788796a5b4c3d2e1f000112233", "9a8b7c6d5e4f30211203f4e5d6c7b8a99a8b7c6d"
LAST = "5c4b3a29180706f5e4d3c2b1a09f8e7d6c5b4a39"
RELEASE = {
    "manifest": "release 1",
    "revision": OLD,
    "processes.worker.quantity": "2",
    "config.DATABASE_URL": "37d0437f025079ad",
}


REMOTE = "command:remote:Command"


def text(host: str, pairs: dict[str, str]) -> str:
    manifest = flat.dump({**pairs, "host": host}.items())
    return f"set -eu\n{{\n    cat <<'END_OF_MANIFEST'\n{manifest}END_OF_MANIFEST\n}}\n"


def step(
    op: str, kind: str, name: str, old: dict[str, Any] | None, new: dict[str, Any] | None
) -> dict[str, Any]:
    states = {"oldState": old, "newState": new}
    return {
        "op": op,
        "urn": f"urn:pulumi:staging::satellite::{kind}::{name}",
        **{key: {"inputs": inputs} for key, inputs in states.items() if inputs is not None},
    }


def release(host: str, **changed: str) -> dict[str, Any]:
    pairs = {**RELEASE, **{key.replace("__", "."): value for key, value in changed.items()}}
    old, new = {"create": text(host, RELEASE)}, {"create": text(host, pairs)}
    return step("update", "command:remote:Command", f"{host}-release", old, new)


def shown(*steps: dict[str, Any], **more: Any) -> str:
    return comment("staging", {"steps": list(steps), **more}).text()


def test_hosts_that_change_alike_are_said_once_and_others_apart() -> None:
    steps = [release(f"worker-{n}", revision=NEW) for n in (1, 2, 3, 5)]
    steps.append(release("mailer", revision=NEW, processes__mailer__quantity="1"))
    counts = {"update": 5, "same": 20}
    assert (
        shown(*steps, changeSummary=counts)
        == f"""\
<!-- satellite-preview: staging -->
### staging: 5 hosts change, 0f1e2d3 → 9a8b7c6

- **revision** `{OLD}` → `{NEW}`
- **formation, on each host** `mailer` 0 → 1
- **resources** 5 to update, 20 unchanged

<details open><summary>4 hosts: worker-1 to worker-3, worker-5</summary>

```diff
@@ release: update @@
- revision: {OLD}
+ revision: {NEW}
```

</details>

<details><summary>1 host: mailer</summary>

```diff
@@ release: update @@
- revision: {OLD}
+ revision: {NEW}
+ processes.mailer.quantity: 1
```

</details>
"""
    )


def test_machines_and_what_is_beside_the_hosts() -> None:
    instance, rule = "aws:ec2/instance:Instance", "aws:vpc/securityGroupIngressRule:Rule"
    machine = {"ami": "ami-1", "userData": "[secret]", "tags": {"app": "shop"}}
    other = {**machine, "ami": "ami-2"}
    steps = [
        step("create-replacement", instance, "worker-1", machine, other),
        step("replace", instance, "worker-1", machine, other),
        step("delete-replaced", instance, "worker-1", machine, None),
        step("replace", "command:remote:Command", "worker-1-drain", {}, {}),
        step("delete", instance, "worker-2", machine, None),
        step("delete", "command:remote:Command", "worker-2-drain", {"delete": "x"}, None),
        step("delete", "command:remote:Command", "worker-2-release", {"create": "x"}, None),
        step("create", rule, "ssh-from-a", None, {"cidrIpv4": "192.0.2.1/32"}),
        step("update", rule, "ssh-from-b", {"tags": {"a": "", "b": True}}, {"tags": {"a": "2"}}),
        step("same", rule, "ssh-from-c", {}, {}),
        step("update", "pulumi:pulumi:Stack", "satellite-staging", {}, {}),
    ]
    assert (
        shown(*steps)
        == """\
<!-- satellite-preview: staging -->
### staging: 1 host changes, 1 host is removed, 1 machine is replaced

- **1 host is removed** (drained first): worker-2

<details open><summary>1 host: worker-1</summary>

```diff
@@ machine: replace @@
- ami: ami-1
+ ami: ami-2
@@ drain: replace @@
```

</details>

<details><summary>1 host: worker-2</summary>

```diff
@@ machine: delete @@
@@ release: delete @@
@@ drain: delete @@
```

</details>

<details open><summary>beside the hosts</summary>

```diff
+ Rule ssh-from-a: create
@@ Rule ssh-from-b: update
- tags.a:
+ tags.a: 2
- tags.b: true
```

</details>
"""
    )


def test_a_new_host_is_told_whole_but_for_its_config() -> None:
    new = {"create": text("worker-1", RELEASE)}
    lines = shown(step("create", "command:remote:Command", "worker-1-release", None, new))
    assert (
        lines
        == f"""\
<!-- satellite-preview: staging -->
### staging: 1 host is added, at 0f1e2d3

- **1 host is added**: worker-1, at `{OLD}`

<details open><summary>1 host: worker-1</summary>

```diff
@@ release: create @@
+ revision: {OLD}
+ processes.worker.quantity: 2
+ config.DATABASE_URL
```

</details>
"""
    )


DRAIN: dict[str, Any] = {"delete": "drain it"}


def of_host(
    host: str, op: str, old: dict[str, Any] | None, new: dict[str, Any] | None
) -> list[dict[str, Any]]:
    """The steps of all that there is for a host; what these say is about its drain."""
    manifest = {"create": text(host, RELEASE)}
    states = [manifest if op == "delete" else None, manifest if op == "create" else None]
    kind, drain = "command:remote:Command", "update" if old is not None and new is not None else op
    return [
        *(step(op, kind, f"{host}-{role}", *states) for role in ("bootstrap", "release")),
        step(drain, kind, f"{host}-drain", old, new),
    ]


def test_what_a_deploy_is_to_pin_is_in_the_comments_second_line() -> None:
    def line(*steps: dict[str, Any]) -> Seen | None:
        return approved(comment("staging", {"steps": steps}, commit=NEW).text().splitlines()[1])

    stack = step("same", "pulumi:pulumi:Stack", "satellite-staging", {}, {})
    stack["oldState"]["outputs"] = {"revision": NEW}  # what was tried last, and failed
    same = {**release("worker-1", revision=OLD), "op": "same"}
    gone = of_host("worker-2", "delete", DRAIN, None)
    assert line(stack, release("worker-1", revision=NEW), *gone) == Seen(NEW, NEW, OLD)
    assert line(stack, same) == Seen(NEW, OLD, OLD)  # config alone changes, or nothing
    assert line(*of_host("worker-1", "create", None, DRAIN)) == Seen(NEW, OLD, "nothing")
    assert line(stack, *gone) == Seen(NEW)  # nobody would run anything
    # one host came through before another one failed; a release phase is no host's
    both = [release("worker-1", revision=LAST), release("worker-2", revision=LAST)]
    both[1]["oldState"]["inputs"]["create"] = text("worker-2", {**RELEASE, "revision": NEW})
    phase = step("delete", REMOTE, "release-phase-1", {"create": text("worker-1", RELEASE)}, None)
    phase["oldState"]["inputs"]["create"] = text("worker-1", {**RELEASE, "revision": "3" * 40})
    assert line(stack, *both, phase) == Seen(NEW, LAST, f"{OLD},{NEW}")


def test_hosts_that_come_and_go_are_no_change_of_what_the_others_run() -> None:
    steps = [
        release("worker-1", revision=NEW),
        *of_host("worker-2", "create", None, DRAIN),
        *of_host("worker-3", "create", {}, DRAIN),
        *of_host("worker-4", "delete", DRAIN, {}),
        step("create", REMOTE, "worker-4-jobs", None, {"create": "give back"}),
        *of_host("worker-5", "delete", DRAIN, None),
        *of_host("worker-6", "delete", DRAIN, None),
        *of_host("worker-7", "delete", {}, None),
    ]
    lines = shown(*steps)
    head = lines.partition("\n\n<details")[0].splitlines()
    assert head[1:] == [
        "### staging: 1 host changes, 1 host is added, 1 host is no longer lost, "
        "1 host is declared lost, 2 hosts are removed, 1 host is removed without a drain, "
        "0f1e2d3 → 9a8b7c6, at 0f1e2d3",
        "",
        f"- **1 host is added**: worker-2, at `{OLD}`",
        f"- **1 host is no longer lost**: worker-3, at `{OLD}`",
        "- **1 host is declared lost** (NOT drained; what jobs it had are given back): worker-4",
        "- **2 hosts are removed** (drained first): worker-5, worker-6",
        "- **1 host is removed without a drain**: worker-7",
        f"- **revision** `{OLD}` → `{NEW}`",
    ]
    assert "- processes.worker.quantity" not in lines  # of what goes that it goes is enough


def test_the_jobs_of_a_lost_host_are_told_with_it() -> None:
    jobs = step("create", "command:remote:Command", "worker-2-jobs", None, {"create": "give back"})
    drain = step("update", "command:remote:Command", "worker-2-drain", DRAIN, {})
    lines = shown(drain, jobs)
    assert "### staging: 1 host is declared lost\n" in lines
    assert "beside the hosts" not in lines
    assert lines.endswith(
        """\
<details open><summary>1 host: worker-2</summary>

```diff
@@ drain: update @@
@@ jobs: create @@
```

</details>
"""
    )


@pytest.mark.parametrize(
    ("jobs", "what"),
    [
        ("create", "what jobs it had are given back"),
        ("same", "what jobs it had are given back"),  # by an update that then failed
        ("delete", "no host is left that gives back what jobs it had"),
        ("", "no host is left that gives back what jobs it had"),
    ],
)
def test_that_jobs_are_given_back_is_said_only_where_somebody_does_it(jobs: str, what: str) -> None:
    told = [step(jobs, REMOTE, "worker-2-jobs", {}, {})] if jobs else []
    line = f"- **1 host is declared lost** (NOT drained; {what}): worker-2"
    lost = of_host("worker-2", "delete", DRAIN, {})
    assert line in shown(*lost, *told).splitlines()
    # an update that declared it lost has failed behind its drain
    assert line in shown(*lost[:-1], *told).splitlines()


def test_a_machine_that_was_never_reached_is_removed_without_a_drain() -> None:
    gone = step("delete", INSTANCE, "worker-2", {}, None)
    assert "### staging: 1 host is removed without a drain\n" in shown(gone)


def test_jobs_alone_are_no_hosts_that_changes() -> None:
    jobs = step("delete", "command:remote:Command", "worker-2-jobs", {"create": "give back"}, None)
    drain = step("update", "command:remote:Command", "worker-1-drain", DRAIN, {})
    lines = shown(drain, jobs)
    assert "### staging: 1 host is declared lost\n" in lines
    assert "worker-2-jobs: delete" in lines.partition("beside the hosts")[2]
    assert "### staging: no host changes\n" in shown(jobs)


def test_a_release_on_another_machine_is_a_change_of_what_the_host_runs() -> None:
    changed = {**release("worker-1", revision=NEW), "op": "replace"}
    assert shown(changed).splitlines()[1:4] == [
        "### staging: 1 host changes, 0f1e2d3 → 9a8b7c6",
        "",
        f"- **revision** `{OLD}` → `{NEW}`",
    ]


KEYS = [host_identity(SEED, name).public for name in ("old", "new")]
PRINTS = [fingerprint(key) for key in KEYS]
THERE = {
    "SATELLITE_HOST": "worker-1",
    "SATELLITE_ADDRESS": "192.0.2.1",
    "SATELLITE_PORT": "22",
    "SATELLITE_USER": "admin",
    "SATELLITE_HOST_KEY": KEYS[0],
    "SATELLITE_SENT": "37d0437f025079ad",
}


def reach(op: str, host: str, new: dict[str, str]) -> dict[str, Any]:
    old, changed = ({"create": COMMAND, "environment": there} for there in (THERE, new))
    kind, before = "command:local:Command", None if op == "create" else old
    return step(op, kind, f"{host}-reach", before, changed)


def reached(*steps: dict[str, Any]) -> list[str]:
    """The lines about where hosts are reached."""
    _, title, rest = shown(*steps).partition("<summary>where what is secret is sent</summary>\n")
    return rest.split("```")[1].splitlines()[1:] if title else []


def test_another_machine_behind_a_name_is_shown_by_address_and_host_key() -> None:
    elsewhere = {"SATELLITE_ADDRESS": "203.0.113.9", "SATELLITE_HOST_KEY": KEYS[1]}
    bastion = {"SATELLITE_BASTION": "bastion.example.com", "SATELLITE_BASTION_HOST_KEY": KEYS[1]}
    lines = reached(
        reach("update", "worker-1", {**THERE, **elsewhere}),
        reach("update", "worker-2", {**THERE, "SATELLITE_PORT": "2222"}),
        *(reach("replace", f"worker-{n}", {**THERE, **bastion}) for n in (3, 4, 5)),
        reach("create", "worker-6", THERE),
    )
    assert lines == [
        "@@ worker-1 @@",
        "- address: 192.0.2.1",
        "+ address: 203.0.113.9",
        f"- host_key: {PRINTS[0]}",
        f"+ host_key: {PRINTS[1]}",
        "@@ worker-2 @@",
        "- port: 22",
        "+ port: 2222",
        "@@ worker-3 to worker-5 @@",
        "+ bastion.address: bastion.example.com",
        f"+ bastion.host_key: {PRINTS[1]}",
        "@@ worker-6 @@",
        "+ address: 192.0.2.1",
        "+ port: 22",
        "+ user: admin",
        f"+ host_key: {PRINTS[0]}",
    ]


def test_a_new_deploy_and_an_instances_new_address_are_no_other_way() -> None:
    later = {**THERE, "SATELLITE_ADDRESS": next(iter(LATER))}
    kind = "aws:ec2/instance:Instance"
    steps = [
        reach("update", "worker-1", {**THERE, "SATELLITE_SENT": "0123456789abcdef"}),
        step("replace", kind, "worker-2", {"ami": "a"}, {"ami": "b"}),
        reach("replace", "worker-2", later),
        step("create", kind, "worker-3", None, {"ami": "a"}),
        reach("create", "worker-3", later),
    ]
    assert reached(*steps) == []
    # but keys of machines are derived: another one is another seed
    (_, *lines) = reached(
        *steps[:2], reach("replace", "worker-2", {**later, "SATELLITE_HOST_KEY": KEYS[1]})
    )
    assert lines == [f"- host_key: {PRINTS[0]}", f"+ host_key: {PRINTS[1]}"]


def test_a_host_that_is_only_asked_is_no_host_that_changes() -> None:
    """A preview cannot know what a visit prints, and lists the release that waits for it."""
    asked = {**THERE, "SATELLITE_OPENED_TO": "203.0.113.7/32", "SATELLITE_REACH_SECONDS": "9"}
    steps = [reach("update", "worker-1", asked), release("worker-1")]
    assert (
        shown(*steps, changeSummary={"update": 2})
        == """\
<!-- satellite-preview: staging -->
### staging: 1 host is only reached again

- **1 host is only reached again** (what it runs stays; only a release that did not come to its \
end before is run again): worker-1
- **resources** 2 to update (1 of them only ask whether a host answers, 1 then release only what \
did not come to its end before)

<details open><summary>1 host: worker-1</summary>

```diff
@@ reached again @@
+ reach_seconds: 9
+ ssh_cidrs: 203.0.113.7/32
```

</details>
"""
    )


@pytest.mark.parametrize(
    "more",
    [
        {"SATELLITE_SENT": "0123456789abcdef"},
        {"SATELLITE_ADDRESS": "203.0.113.9"},
        {"SATELLITE_MACHINE": "2"},
    ],
)
def test_a_host_that_is_sent_something_or_is_elsewhere_changes(more: dict[str, str]) -> None:
    asked = {**THERE, "SATELLITE_OPENED_TO": "203.0.113.7/32", **more}
    lines = shown(reach("update", "worker-1", asked), release("worker-1"))
    assert "### staging: 1 host changes\n" in lines
    assert "+ ssh_cidrs: 203.0.113.7/32\n@@ release: update @@\n  only what is secret" in lines


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"SATELLITE_ADDRESS": "203.0.113.9"}, ""),
        # of a login key; or on the way back from a deploy that failed
        (
            {"SATELLITE_SENT": "0123456789abcdef"},
            ", or what was sent last did not come to its end",
        ),
    ],
)
def test_a_change_that_no_manifest_tells_is_one_all_the_same(
    more: dict[str, str], why: str
) -> None:
    there = reach("update", "worker-1", {**THERE, **more})
    assert lines_of_group(shown(there, release("worker-1")).partition("1 host: worker-1")[2]) == [
        "@@ release: update @@",
        f"  only what is secret, which machine it is, or how it is reached{why}",
    ]


def test_a_release_of_a_deploy_before_that_failed_says_so() -> None:
    """Of what was sent then nothing is sent anew: no host is asked first."""
    assert lines_of(release("worker-1")) == [
        "@@ release: update @@",
        "  nothing of its own changes: it did not come to its end before, and is run again",
    ]


def test_a_release_that_only_follows_what_is_prepared_says_so() -> None:
    before = {"manifest": "bootstrap 1", "user": "admin"}
    inputs = [{"create": text("worker-1", p)} for p in (before, {**before, "packages.1": "jq"})]
    prepared = step("update", REMOTE, "worker-1-bootstrap", *inputs)
    sent = reach("update", "worker-1", {**THERE, "SATELLITE_SENT": "0123456789abcdef"})
    assert lines_of(sent, prepared, release("worker-1")) == [
        "@@ bootstrap: update @@",
        "+ packages.1: jq",
        "@@ release: update @@",
        "  nothing of its own changes: it follows what is prepared",
    ]
    assert lines_of(prepared, release("worker-1", revision=NEW))[-2:] == [
        f"- revision: {OLD}",
        f"+ revision: {NEW}",
    ]


def lines_of(*steps: dict[str, Any]) -> list[str]:
    """The lines of the one group of hosts."""
    return lines_of_group(shown(*steps))


def lines_of_group(lines: str) -> list[str]:
    return lines.partition("```diff\n")[2].partition("\n```")[0].splitlines()


def test_a_host_that_becomes_an_instance_or_is_one_no_longer_is_another_machine() -> None:
    later = {**THERE, "SATELLITE_ADDRESS": next(iter(LATER)), "SATELLITE_HOST_KEY": KEYS[1]}
    changed = {**release("worker-1"), "op": "replace"}
    drain = step("replace", REMOTE, "worker-1-drain", DRAIN, DRAIN)
    made = step("create", INSTANCE, "worker-1", None, {"ami": "a"})
    steps = [made, reach("replace", "worker-1", later), changed, drain]
    title = "### staging: 1 host changes, 1 machine is replaced\n"
    assert title in shown(*steps)
    assert reached(*steps) == [
        "@@ worker-1 @@",
        "- address: 192.0.2.1",
        "+ address: (known when it is made)",
        f"- host_key: {PRINTS[0]}",
        f"+ host_key: {PRINTS[1]}",
    ]
    gone = step("delete", INSTANCE, "worker-1", {"ami": "a"}, None)
    assert title in shown(gone, reach("replace", "worker-1", THERE), changed, drain)
    raised = reach("replace", "worker-1", {**THERE, "SATELLITE_MACHINE": "2"})
    assert title in shown(raised, changed, drain)


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("rm -f lock; run", "rm -f lock; run"),
        ("rm -f lock;\nrun", r'"rm -f lock;\nrun"'),
        ("rm  -f lock; run", '"rm  -f lock; run"'),
        ("rm\u00a0-f lock; run", r'"rm\u00a0-f lock; run"'),
        ("run \u202e;evil #", r'"run \u202e;evil #"'),
        ('"run"', r'"\"run\""'),
        ("größe", "größe"),
        ("größe\u034f", r'"gr\u00f6\u00dfe\u034f"'),
        ("run\ufe0f", r'"run\ufe0f"'),
        ("run\u3164", r'"run\u3164"'),
        ("run\u115f", r'"run\u115f"'),
        ("run\u2800", r'"run\u2800"'),
        ("r\u0443n", r'"r\u0443n"'),  # a letter of another alphabet
    ],
)
def test_no_value_looks_like_another_one(value: str, line: str) -> None:
    assert [*manifests.pair("command", None, value)] == [f"+ command: {line}"]


def test_neither_value_nor_digest_of_a_config_var_is_shown() -> None:
    changed = release("worker-1", config__DATABASE_URL="0123456789abcdef", config__PLAIN="value")
    lines = shown(changed)
    assert "added `PLAIN`; changed `DATABASE_URL` (" in lines
    assert [v for v in ("37d0437f025079ad", "0123456789abcdef", "value\n") if v in lines] == []


@pytest.mark.parametrize(
    "value",
    [
        "https://user:canary@x.example.com",
        "-----BEGIN OPENSSH PRIVATE KEY-----\ncanary\n-----END OPENSSH PRIVATE KEY-----\n",
        "https://user:cana\tcanary@x.example.com",
        "https://user:cana\u2028canary@x.example.com",
    ],
)
def test_a_secret_in_the_wrong_place_is_not_shown_a_second_time(value: str) -> None:
    lines = shown(release("worker-1", processes__worker__env__U=value))
    assert "+ processes.worker.env.U\n" in lines
    assert "canary" not in lines
    rule = {"cidrIpv4": "192.0.2.1/32", "description": "office"}
    changed = step("update", "aws:x:Rule", "office", {**rule, "description": value}, rule)
    assert "! description\n" in shown(changed)


def test_what_only_looks_like_a_digest_is_shown() -> None:
    own = {"processes__worker__env__BUILD": "0123456789abcdef", "webhook": "0123456789abcdef"}
    lines = shown(release("worker-1", **own))
    assert "+ processes.worker.env.BUILD: 0123456789abcdef\n" in lines
    assert "+ webhook\n" in lines


def test_where_no_digest_is_as_before_another_seed_may_be_why() -> None:
    said = "may also be another host_key_seed"
    one, two = "0123456789abcdef", "fedcba9876543210"
    old = {**RELEASE, "config.API_KEY": one}
    inputs = [
        {"create": text("worker-1", pairs)} for pairs in (old, {**old, "config.API_KEY": two})
    ]
    assert said not in shown(step("update", REMOTE, "worker-1-release", *inputs))
    both = {"config.API_KEY": two, "config.DATABASE_URL": two}
    inputs = [{"create": text("worker-1", pairs)} for pairs in (old, {**old, **both})]
    assert said in shown(step("update", REMOTE, "worker-1-release", *inputs))
    assert said not in shown(release("worker-1", config__DATABASE_URL=two))  # the only one


def test_an_instance_that_is_lost_from_the_start_had_no_jobs() -> None:
    made = step("create", INSTANCE, "worker-2", None, {"ami": "a"})
    drain = step("create", REMOTE, "worker-2-drain", None, {})
    jobs = step("create", REMOTE, "worker-2-jobs", None, {"create": "give back"})
    told = "- **1 host is added as lost** (its machine is made, and nothing runs there): worker-2"
    assert told in shown(made, drain, jobs).splitlines()
    assert "- **1 host is declared lost**" in shown(drain, jobs)  # it is there without us
    # its machine was there before: one that was never reached, and is tagged anew as well
    tagged = step("update", INSTANCE, "worker-2", {"tags": {}}, {"tags": {"team": "x"}})
    assert "- **1 host is declared lost**" in shown(tagged, drain, jobs)


def test_config_files_are_named_and_not_shown() -> None:
    def file(path: str, template: str, mode: str = "0640") -> dict[str, str]:
        values = {"template": template, "mode": mode, "owner": "app"}
        return {f"config_files.{path}.{key}": value for key, value in values.items()}

    one, two = "77b15c2a2b2408f6", "1eb38518d64baf3e"
    old = {**RELEASE, **file("config/a.yml", one), **file("b.key", one), **file("gone", one)}
    new = {**RELEASE, **file("config/a.yml", two), **file("b.key", one, "0400"), **file("c", one)}
    inputs = [{"create": text("worker-1", pairs)} for pairs in (old, new)]
    lines = shown(step("update", "command:remote:Command", "worker-1-release", *inputs))
    assert (
        "- **config files** added `c`; changed `b.key`, `config/a.yml`; removed `gone`\n" in lines
    )
    assert "**config vars**" not in lines
    assert [digest for digest in (one, two) if digest in lines] == []


def test_errors_come_first_whatever_is_in_them() -> None:
    urn = "urn:pulumi:staging::satellite::command:remote:Command::worker-1-release"
    told = [
        {"severity": "info", "message": "nothing"},
        {"severity": "error", "urn": urn, "message": "bad ```` fence\n<b>@everybody</b>\n"},
    ]
    lines = shown(release("worker-1", revision=NEW), diagnostics=told).splitlines()
    assert lines[:8] == [
        "<!-- satellite-preview: staging -->",
        "### staging: the preview failed",
        "",
        "`````text",
        "worker-1-release: bad ```` fence",
        "<b>@everybody</b>",
        "`````",
        "",
    ]


def test_what_is_warned_of_stands_above_what_changes() -> None:
    """What never is a change, such as a machine that keeps its image."""
    text = "worker-1 has ami-1, and satellite:ami says ami-2: satellite roll worker-1"
    told = [{"severity": "warning", "message": f"warning: {text}\n"}]
    assert shown(diagnostics=told).splitlines()[:6] == [
        "<!-- satellite-preview: staging -->",
        "### staging: nothing changes",
        "",
        "```text",
        f"warning: {text}",
        "```",
    ]


def test_what_is_warned_of_many_hosts_leaves_room_for_what_changes() -> None:
    rule, what = "no-public-address", "has a public address: it should have none, not at all"
    steps = [release(f"worker-{n}", revision=NEW) for n in range(1, 901)]
    advice = [f"{rule}: worker-{n} {what}" for n in range(1, 901)]
    advice += [f"{rule}: box {what}", "tagged: box lacks tags", "tagged: (no message)"]
    lines = comment("staging", {"steps": steps}, advice=advice).cut()
    assert lines.splitlines()[3:8] == [
        "```text",
        f"warning: {rule}: box, worker-1 to worker-900: {what}",
        "warning: tagged: (no message)",
        "warning: tagged: box lacks tags",
        "```",
    ]
    assert "@@ release: update @@" in lines


def test_no_more_is_said_of_what_the_program_warns_of_than_leaves_room() -> None:
    told = [
        {"severity": "warning", "message": f"worker-{n} has ami-1, and satellite:ami says ami-2"}
        for n in range(900)
    ]
    block = comment("staging", {"steps": [release("worker-1", revision=NEW)], "diagnostics": told})
    assert block.cut() == block.text()
    lines = block.text().splitlines()
    assert lines[102:105] == [
        "worker-98 has ami-1, and satellite:ami says ami-2",
        "worker-99 has ami-1, and satellite:ami says ami-2",
        "... and 800 more lines, which `pulumi preview` says, too",
    ]


def test_the_engines_last_words_only_where_it_told_nothing_else() -> None:
    assert (
        comment("staging", {}, "error: no passphrase\n", commit=NEW).text()
        == """\
<!-- satellite-preview: staging -->
### staging: the preview failed

```text
error: no passphrase
```

<sub>Preview of commit `9a8b7c6d5e4f`.</sub>
"""
    )
    told = {"diagnostics": [{"severity": "error", "message": "this"}]}
    assert "that" not in comment("staging", told, "that").text()


@pytest.mark.parametrize("hosts", [1, 500, 2000])
def test_it_is_cut_to_what_github_takes_and_says_so(hosts: int) -> None:
    many = {f"processes.type{n}.quantity": "1" for n in range(4000 // hosts)}
    block = comment(
        "staging",
        {"steps": [release(f"w{n}", revision=NEW, own=str(n), **many) for n in range(hosts)]},
    )
    assert len(block.text()) > LONGEST
    cut = block.cut()
    assert LONGEST - 1000 < len(cut.encode()) <= LONGEST
    assert cut.endswith(f"\n{NOTE}\n")
    assert cut.count("<details") == cut.count("</details>") > 0
    assert cut.count("```") == 2 * cut.count("```diff")
    assert block.text().startswith(cut.splitlines()[0])


def test_each_host_is_named_however_many_there_are() -> None:
    names = [f"host{a}{b}" for a in "abcdef" for b in "stuvwx"]
    lines = shown(*[one for name in names for one in of_host(name, "delete", DRAIN, None)])
    assert f"{names[29]}, and 6 more</summary>\n" in lines
    assert lines_of_group(lines)[:37] == [*(f"  {n}" for n in names), "@@ bootstrap: delete @@"]


def failed(message: str) -> Block:
    return comment("staging", {"diagnostics": [{"severity": "error", "message": message}]})


def test_no_error_is_left_out_that_has_room() -> None:
    wrong = "\n".join(f"  satellite:key{n}: unknown key" for n in range(900))
    told = f"900 problems in this stack's settings:\n{wrong}"
    assert f"```text\n{told}\n```\n" in failed(told).cut()
    words = comment("staging", {}, told).cut().split("```")[1].splitlines()
    assert words[1:3] == ["... 801 lines before", "  satellite:key800: unknown key"]
    assert words[-1] == wrong.splitlines()[-1]


def test_of_an_error_that_is_one_endless_line_its_beginning_is_shown() -> None:
    cut = failed("it says " + "ä" * LONGEST).cut()
    assert LONGEST - 2 <= len(cut.encode()) <= LONGEST
    assert "```text\nit says ää" in cut
    assert cut.endswith(f"ä\n```\n\n{NOTE}\n")


def test_what_has_room_is_not_cut() -> None:
    block = comment("staging", {"steps": [release("worker-1", revision=NEW)]})
    assert block.cut() == block.text()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a"], "a"),
        (["w-10", "w-9", "w-8"], "w-8 to w-10"),
        (["w-2", "w-1"], "w-1, w-2"),
        (["w-01", "w-02", "w-03"], "w-01 to w-03"),
        (["w-1", "w-2", "w-3", "w-5", "x-4", "w"], "w, w-1 to w-3, w-5, x-4"),
    ],
)
def test_neighbours_are_said_as_one(names: list[str], said: str) -> None:
    assert ranges(names) == said
