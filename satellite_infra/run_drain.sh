# @TITLE@
# shellcheck shell=sh
set -eu
[ -e @AGENT@ ] || exit 0 # never prepared: nothing runs here
[ "$(id -u)" -eq 0 ] || set -- sudo -n
"$@" @AGENT@ drain --app @APP@ --host @HOST@ --machine @MACHINE@ </dev/null
