"""Modules of the standard library of which a start of the agent needs a few names: stand-ins.

`typing`, and `urllib.parse`, which `pathlib` loads for `as_uri` alone, are a fifth of what the
agent loads, four times in a release. Whoever asks a stand-in for any other name gets it from the
module itself, which is loaded then.
"""

from __future__ import annotations

import _thread  # what `threading` is made of, which is slow to load
import collections
import collections.abc
import sys
from types import ModuleType

LOADING = _thread.RLock()
"""Another thread waits, and does not get half of a module."""
OWN = {"__module__", "__qualname__", "__annotations__"}
"""Of a class's names, those which a tuple made of it has by itself."""


class Light(ModuleType):
    """One of them; `some`: the names that it has itself."""

    def __init__(self, name: str, **some: object) -> None:
        super().__init__(name)
        vars(self).update(some)

    def __getattr__(self, name: str) -> object:
        """A name that it has not."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(loaded(self.__name__), name)


class Named(type):
    """Makes a named tuple of a class, as `typing.NamedTuple` does."""

    def __new__(
        cls, name: str, _bases: tuple[type, ...], names: dict[str, object]
    ) -> type[tuple[object, ...]]:
        """The tuple: its fields, their defaults, and what else the class has."""
        fields = list(names["__annotations__"])  # type: ignore[call-overload]
        defaults = [names[field] for field in fields if field in names]
        module = str(names["__module__"])
        make: collections.abc.Callable[..., type[tuple[object, ...]]] = collections.namedtuple
        made = make(name, fields, defaults=defaults, module=module)
        for key in names.keys() - OWN - {*fields}:
            setattr(made, key, names[key])
        return made


def install() -> None:
    """Put them in the place of those modules that nobody has loaded yet."""
    if "typing" not in sys.modules:
        of_typing = {
            "TYPE_CHECKING": False,
            "Any": object,
            "Callable": collections.abc.Callable,
            **dict.fromkeys(("IO", "BinaryIO", "NoReturn")),  # in annotations alone
        }
        if sys.version_info < (3, 14):  # later ones keep a class's annotations elsewhere
            of_typing["NamedTuple"] = type.__new__(Named, "NamedTuple", (), {})
        sys.modules["typing"] = Light("typing", **of_typing)
    if "urllib.parse" not in sys.modules:
        import urllib

        late = Light("urllib.parse", quote_from_bytes=_quote_from_bytes)
        sys.modules["urllib.parse"] = late
        vars(urllib)["parse"] = late


def loaded(name: str) -> ModuleType:
    """The module itself."""
    with LOADING:
        light = sys.modules.get(name)
        if isinstance(light, Light):
            del sys.modules[name]
            try:
                __import__(name)
            except BaseException:
                sys.modules[name] = light  # for whoever tries again
                raise
    return sys.modules[name]


def _quote_from_bytes(*some: object) -> object:
    return loaded("urllib.parse").quote_from_bytes(*some)
