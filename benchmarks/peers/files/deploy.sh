#!/bin/bash
# deploy.sh: one deploy on one host as a shell script; lines that set GIT_URL and REVISION stand before it.
set -euo pipefail

main() {
    local app=/srv/app release directory
    release=$app/releases/$(date -u +%Y%m%d%H%M%S)
    [ -d $app/git ] || git init -q --bare $app/git
    git -C $app/git fetch -q --depth 1 "$GIT_URL" "$REVISION"
    mkdir -p "$release" $app/shared/log $app/shared/tmp
    git -C $app/git archive "$REVISION" | tar -x -C "$release"
    echo "$REVISION" >"$release/REVISION"
    for directory in log tmp; do
        rm -rf "${release:?}/$directory"
        ln -s "$app/shared/$directory" "$release/$directory"
    done
    ln -sfn "$release" $app/current.new
    mv -T $app/current.new $app/current
    sudo systemctl restart worker@1 worker@2
    systemctl is-active --quiet worker@1 worker@2
    cd $app/releases
    find . -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | head -n -5 | xargs -r rm -rf
}

main "$@"
