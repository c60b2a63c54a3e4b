#!/bin/bash
# customize.sh ROOT FILES CERTIFICATES : turn a fresh Debian root into the image of a cloud machine.
set -euo pipefail

identity_goes() { # each machine makes its own at its first boot
	rm -f "$root"/etc/ssh/ssh_host_* "$root/var/lib/dbus/machine-id" "$root/etc/resolv.conf"
	: >"$root/etc/machine-id"
}

cloud_init_is_ready() {
	install -m 644 "$files/99-lab.cfg" "$root/etc/cloud/cloud.cfg.d/99-lab.cfg"
	echo 'policy: enabled' >"$root/etc/cloud/ds-identify.cfg"
}

nothing_runs_unasked() { # timers would take apt's lock at random; PostgreSQL is for the lab alone
	chroot "$root" systemctl --quiet disable apt-daily.timer apt-daily-upgrade.timer \
		e2scrub_all.timer fstrim.timer e2scrub_reap.service postgresql.service \
		unattended-upgrades.service
}

same_certificates_as_outside() { # an https mirror or proxy may need what the owner added here
	local file
	for file in "$certificates"/*.crt; do
		[ ! -e "$file" ] || install -m 644 "$file" "$root$certificates/"
	done
	chroot "$root" update-ca-certificates
}

main() {
	root=$1 files=$2 certificates=$3
	install -m 755 "$files/host-init" "$root/usr/local/sbin/host-init"
	install -m 644 "$files/sshd.conf" "$root/etc/ssh/sshd_config.d/lab.conf"
	identity_goes
	cloud_init_is_ready
	nothing_runs_unasked
	same_certificates_as_outside
}

main "$@"
