"""pyinfra runs the shell script."""

import os

from pyinfra.operations import server

server.script(name="deploy", src=os.environ["BENCH_SCRIPT"])
