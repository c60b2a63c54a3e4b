# @TITLE@
# shellcheck shell=sh
set -eu
#: never prepared: nothing runs there
[ -e @AGENT@ ] || exit 0
[ "$(id -u)" -eq 0 ] || set -- sudo -n
"$@" @AGENT@ drain --app @APP@ --host @HOST@ --machine @MACHINE@ </dev/null
