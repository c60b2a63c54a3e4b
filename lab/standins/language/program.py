"""Run one Pulumi program against the engine: `python program.py JOB.json`, started by host.py.

Imports nothing of this project: the program's interpreter may be another than the host's.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import runpy
import signal
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

SHOWN = 32  # exit status: "the user was told why already"
# how a program fails when the engine stops it, because a resource failed and the user was told
STOPPED = ("Resource monitor has terminated", "context canceled")


def run(job: dict[str, Any]) -> int:
    """Run it as the vendor's host does; return 0, or SHOWN when it failed and the user knows."""
    from pulumi.runtime import reset_options, run_in_stack, set_all_config

    set_all_config(job["config"], job["secret_keys"])
    reset_options(**job["options"])
    sys.argv = [job["program"], *job["args"]]
    os.chdir(job["pwd"])
    # pulumi leaves unobserved tasks behind when a resource fails; asyncio's complaints are noise
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    pool = ThreadPoolExecutor(max_workers=max(job["options"]["parallel"], 1) * 4)
    loop.set_default_executor(pool)
    try:
        loop.run_until_complete(run_in_stack(lambda: execute(job["program"])))
        return 0
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - any of the program's errors
        report(error, Path(job["program"]))
        return SHOWN
    finally:
        pool.shutdown(wait=True)
        loop.close()
        sys.stdout.flush()
        sys.stderr.flush()


def execute(program: str) -> None:
    """Run the folder or file as `python PROGRAM` would."""
    runpy.run_path(program, run_name="__main__")


def report(error: BaseException, program: Path) -> None:
    """Tell the user about the program's error, unless a resource's own error said it already."""
    import pulumi

    if isinstance(error, KeyboardInterrupt) or any(text in str(error) for text in STOPPED):
        return
    if isinstance(error, pulumi.RunError):
        pulumi.log.error(str(error))
        return
    main = {str(program), str(program / "__main__.py")}
    frames = error.__traceback__  # from the program's own first frame, where there is one
    while frames and frames.tb_frame.f_code.co_filename not in main:
        frames = frames.tb_next
    lines = traceback.format_exception(type(error), error, frames or error.__traceback__)
    pulumi.log.error("Program failed with an unhandled exception:\n" + "".join(lines))


def main() -> int:
    """Run the job that is named; the engine's signal to stop leaves no traceback at its end."""
    try:
        try:
            status = run(json.loads(Path(sys.argv[1]).read_text()))
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:  # after the program's own end, too
        status = SHOWN
    gc.freeze()  # at its end Python would look through all modules for nothing
    return status


if __name__ == "__main__":
    del sys.path[0]  # this folder is none of the program's business
    sys.exit(main())
