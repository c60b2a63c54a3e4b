"""Start a stand-in plugin: `python lab/standins language|aws ... ENGINE_ADDRESS`."""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

MODULES = {
    "language": "lab.standins.language.host",
    "aws": "lab.standins.aws.provider",
}


def protocol_alone() -> None:
    """Have `pulumi.runtime.proto` without the SDK around it, which takes longer than all the rest.

    Every engine run waits for each plugin to start; the vendor's are there at once.
    """
    found = find_spec("pulumi")
    assert found
    assert found.submodule_search_locations
    place = Path(found.submodule_search_locations[0])
    for name, folder in (("pulumi", place), ("pulumi.runtime", place / "runtime")):
        sys.modules[name] = package = ModuleType(name)
        package.__path__ = [str(folder)]


if __name__ == "__main__":
    # run as a folder, so that no variable needs to say where this checkout is
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    gc.disable()  # until all is loaded: nothing of that is garbage
    protocol_alone()
    main = import_module(MODULES[sys.argv[1]]).main
    gc.enable()
    main(sys.argv[-1])
    gc.freeze()  # the engine waits for the end, too
