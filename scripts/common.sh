# shellcheck shell=bash
# Sourced by the other scripts: where things are. Sets HOME (if empty), SATELLITE_CACHE, CHECKOUT.

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

CHECKOUT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[ -n "${HOME:-}" ] || HOME=$(getent passwd "$(id -u)" | cut -d: -f6) || true
[ -n "$HOME" ] || die "this user has no home folder; set HOME to one"
SATELLITE_CACHE=${SATELLITE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/satellite}
export HOME SATELLITE_CACHE CHECKOUT
unset PYTHONDONTWRITEBYTECODE # else each start of a program compiles all of it anew
# nft, ip and chroot live where the PATH of a person who is not root does not look
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# Before a program: it ends when the shell that has started it does, however that ends.
bound=(setpriv --pdeathsig TERM)
"${bound[@]}" true 2>/dev/null || bound=() # who only deploys may have a system whose own knows less

# Print the interpreter that the environment is made with: PYTHON, or the first that is new enough.
find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 /usr/bin/python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            # of an environment the one below it: the environment may be about to be made anew
            "$candidate" -c 'import sys; print(getattr(sys, "_base_executable", "") or sys.executable)'
            return
        fi
    done
    return 1
}

# Print the folder of the shared environment for this interpreter ($1) and lock file ($2).
venv_path() {
    local key
    key=$({ cat "$2" && "$1" -c 'import sys; print(sys.version, sys.base_prefix)'; } |
        sha256sum | cut -c1-16)
    printf '%s/venv-%s\n' "$SATELLITE_CACHE" "$key"
}

# A folder is finished when its stamp is there: one that was cut off starts anew.
# Each command says `|| return`, since `set -e` does not hold below an `if`.
make_venv() {
    local python=$1 venv=$2 lock=$3
    exec 9>"$venv.lock"
    flock 9
    [ ! -e "$venv/.complete" ] || return 0
    rm -rf "$venv"
    "$python" -m venv "$venv" || return
    # where packages come from is the user's to say; where they go to is not
    env -u PIP_TARGET -u PIP_PREFIX -u PIP_ROOT -u PIP_USER "${bound[@]}" "$venv/bin/pip" install \
        --no-user --disable-pip-version-check --no-input --require-hashes -r "$lock" || return
    touch "$venv/.complete"
}
