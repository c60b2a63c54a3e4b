#!/bin/bash
# prepare.sh ROOT : before the packages are installed. PostgreSQL would make a cluster on each machine.
set -euo pipefail

main() {
	mkdir -p "$1/etc/postgresql-common"
	echo 'create_main_cluster = false' >"$1/etc/postgresql-common/createcluster.conf"
}

main "$@"
