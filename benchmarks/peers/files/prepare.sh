#!/bin/bash
# prepare.sh: what the peers find on a host, as root. DEPLOY_KEY and KNOWN_HOSTS come in the environment.
set -euo pipefail

main() {
    install -d -o admin -g admin /srv/app /srv/app/releases /srv/app/shared /srv/app/shared/log /srv/app/shared/tmp
    install -m 600 -o admin -g admin /dev/null ~admin/.ssh/id_ed25519
    printf '%s\n' "$DEPLOY_KEY" >~admin/.ssh/id_ed25519
    install -m 644 -o admin -g admin /dev/null ~admin/.ssh/known_hosts
    printf '%s\n' "$KNOWN_HOSTS" >~admin/.ssh/known_hosts
    cat >/etc/systemd/system/worker@.service <<'END'
[Unit]
Description=worker %i of the peers
StartLimitIntervalSec=0
[Service]
Type=exec
User=admin
ExecStart=/srv/app/current/worker %i
Restart=always
END
    systemctl daemon-reload
}

main "$@"
