"""A command for each host, with the script: what a deploy by Pulumi costs at least."""

import os
from pathlib import Path

from pulumi_command import remote

key = Path(os.environ["BENCH_KEY"]).read_text(encoding="utf-8")
script = Path(os.environ["BENCH_SCRIPT"]).read_text(encoding="utf-8")
for address in os.environ["BENCH_HOSTS"].split():
    remote.Command(
        address,
        connection=remote.ConnectionArgs(host=address, user="admin", private_key=key),
        create=f"{script}# {os.environ['BENCH_RELEASE']}\n",  # another text is run anew
        logging=remote.Logging.NONE,
    )
