#!/bin/bash
# chroot.sh ROOT DATA USER COMMAND... : run COMMAND as USER in the image ROOT, which stays as it is;
# only DATA, seen there as /mnt, can be written. All mounts end with COMMAND.
set -euo pipefail

prepare() {
	mount --bind "$root" "$root"
	mount -o remount,bind,ro "$root"
	mount --rbind /dev "$root/dev"
	mount -t proc proc "$root/proc"
	mount -t tmpfs tmpfs "$root/tmp"
	mount --bind "$data" "$root/mnt"
}

main() {
	if [ "$1" != --inside ]; then
		exec unshare --mount --propagation private "$0" --inside "$@"
	fi
	root=$2 data=$3 user=$4
	shift 4
	prepare
	exec chroot --userspec="$user:$user" "$root" "$@"
}

main "$@"
