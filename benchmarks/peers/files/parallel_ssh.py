"""parallel_ssh.py SCRIPT HOST...: parallel-ssh runs the shell script, one connection per host."""

import base64
import os
import sys
from pathlib import Path

from pssh.clients import ParallelSSHClient

script = base64.b64encode(Path(sys.argv[1]).read_bytes()).decode()
client = ParallelSSHClient(sys.argv[2:], user="admin", pkey=os.environ["BENCH_KEY"], pool_size=100)
outputs = client.run_command(f"echo {script} | base64 -d | bash")
client.join(outputs)
failed = [(out.host, out.exit_code, *out.stderr) for out in outputs if out.exit_code]
sys.exit(str(failed) if failed else 0)
