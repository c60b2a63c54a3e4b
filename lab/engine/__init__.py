"""A Pulumi engine on any machine: the vendor's parts where installed, ours where missing."""

from lab.engine.layout import environment
from lab.engine.parts import Parts, find

__all__ = ["Parts", "environment", "find"]
