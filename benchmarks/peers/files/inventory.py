"""pyinfra's hosts."""

import os

hosts = [
    (
        address,
        {
            "ssh_user": "admin",
            "ssh_key": os.environ["BENCH_KEY"],
            "ssh_strict_host_key_checking": "no",
            "ssh_known_hosts_file": "/dev/null",
        },
    )
    for address in os.environ["BENCH_HOSTS"].split()
]
