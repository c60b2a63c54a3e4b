# @TITLE@
# shellcheck shell=sh
set -eu
[ "$(id -u)" -eq 0 ] || set -- sudo -n
"$@" @AGENT@ give-back --app @APP@ --host @HOST@ --machine @MACHINE@ </dev/null
