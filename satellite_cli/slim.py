"""Pulumi's types of an AWS service, loaded one by one: those of EC2 alone are 180 modules."""

from __future__ import annotations

import importlib
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

INPUTS = "_inputs"
"""The module with a package's arguments, such as ec2.InstanceRootBlockDeviceArgs."""


class Package(ModuleType):
    """A package whose `__init__` only gathers the names of its modules.

    A name is looked for in the module called after it; all of the package is loaded for a name
    that is elsewhere.
    """

    def __getattr__(self, name: str) -> Any:
        """What is not here yet."""
        found = self._found(name)
        if found is None:
            assert self.__spec__
            assert self.__spec__.loader
            self.__spec__.loader.exec_module(self)
            if name not in vars(self):
                raise AttributeError(f"{self.__name__}.{name}")
            return vars(self)[name]
        setattr(self, name, found)
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        """Keep it; of a function's module, such as get_ami, the function, as `__init__` does."""
        own = vars(value).get(name) if isinstance(value, ModuleType) else None
        super().__setattr__(name, value if own is None else own)

    def _found(self, name: str) -> Any:
        if name.startswith("__"):
            return None
        own = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
        for place in (own, INPUTS):
            if any(Path(folder, f"{place}.py").is_file() for folder in self.__path__):
                module = importlib.import_module(f"{self.__name__}.{place}")
                found = vars(module).get(name)
                if found is not None or place == name:
                    return module if found is None else found
        return None


def slim(package: str) -> None:
    """Have that package, such as pulumi_aws.ec2, be loaded so by whoever imports it from now on.

    One of which something is loaded already stays what it is.
    """
    if any(name.startswith(f"{package}.") for name in sys.modules):
        return
    parent, _, name = package.rpartition(".")
    above, spec = importlib.import_module(parent), find_spec(package)
    assert spec
    found = Package(package)
    found.__spec__, found.__file__ = spec, spec.origin
    found.__package__, found.__path__ = package, list(spec.submodule_search_locations or ())
    sys.modules[package] = found
    setattr(above, name, found)
