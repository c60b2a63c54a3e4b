#!/bin/bash
# rollback.sh: switch to the release before the current one, restart, check.
set -euo pipefail

main() {
    local app=/srv/app now before
    now=$(basename "$(readlink $app/current)")
    before=$(find $app/releases -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | awk -v now="$now" '$0 < now' | tail -n 1)
    [ -n "$before" ]
    ln -sfn "$app/releases/$before" $app/current.new
    mv -T $app/current.new $app/current
    sudo systemctl restart worker@1 worker@2
    systemctl is-active --quiet worker@1 worker@2
}

main "$@"
