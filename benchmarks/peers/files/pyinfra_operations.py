"""The deploy in pyinfra's own operations."""

import os

from pyinfra.operations import files, git, server, systemd

app, revision = "/srv/app", os.environ["BENCH_REVISION"]
release = f"{app}/releases/{os.environ['BENCH_RELEASE']}"
files.directory(name="release directory", path=release)
git.repo(name="fetch", src=os.environ["BENCH_GIT_URL"], dest=f"{app}/src", branch="main", pull=True)
server.shell(
    name="export, link, switch",
    commands=[
        f"git -C {app}/src archive {revision} | tar -x -C {release}"
        f" && echo {revision} > {release}/REVISION",
        f"for d in log tmp; do rm -rf {release}/$d; ln -s {app}/shared/$d {release}/$d; done",
        f"ln -sfn {release} {app}/current.new && mv -T {app}/current.new {app}/current",
    ],
)
for n in (1, 2):
    systemd.service(
        name=f"restart worker@{n}",
        service=f"worker@{n}.service",
        running=True,
        restarted=True,
        _sudo=True,
    )
server.shell(
    name="check and prune",
    commands=[
        "systemctl is-active --quiet worker@1 worker@2",
        f"cd {app}/releases; ls -1 | head -n -5 | xargs -r rm -rf",
    ],
)
