"""The app's user, and who may log in as whom."""

from __future__ import annotations

import contextlib
import pwd

from . import authorized, storage
from .preparation import Preparation, known


def login_keys(host: Preparation) -> bool:
    """Who may log in as the login user: deployer and team; nobody of ours as the former one."""
    manifest, layout = host.manifest, host.layout
    former = known(layout.logins, [])
    storage.write_json(layout.logins, sorted({manifest.user, *former}))
    keys = (*manifest.deployer_keys, *manifest.authorized_keys)
    changed = authorized.authorize(manifest.user, manifest.app, keys)
    for other in (name for name in former if name != manifest.user):
        with contextlib.suppress(LookupError):  # that user is gone, and so are its keys
            changed = authorized.authorize(other, manifest.app, ()) or changed
    storage.write_json(layout.logins, [manifest.user])
    return changed


def user(host: Preparation) -> bool:
    """The app's own user, without a password, with a shell for the team's one-off commands."""
    name, home = host.manifest.app, str(host.layout.home)
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        argv = ["useradd", "--create-home", "--home-dir", home]
        argv += ["--shell", "/bin/bash", "--user-group", name]
        host.system.run(argv, host.say)
        return True
    if entry.pw_dir != home:  # root, mail, backup: not ours to run jobs as
        raise ValueError(
            f"{name} is a user of this machine already, with the home {entry.pw_dir}: "
            "choose another satellite:app"
        )
    return False


def app_keys(host: Preparation) -> bool:
    """Who may log in as the app's user: the team. The deployer has no business there."""
    app = host.manifest.app
    return authorized.authorize(app, app, host.manifest.authorized_keys)
