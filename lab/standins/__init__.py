"""Test equipment: stand-ins for the Pulumi plugins that cannot be had on every machine.

The vendor's own CLI talks to them as it talks to its own plugins. Each serves exactly what this
project uses, with the semantics measured on the vendor's (tests/standins says which). They are
never used where the vendor's are installed; `python -m lab.engine which` tells. The one for the
plugin `command` is a Go program, built by lab.engine: it dials hosts with the vendor's SSH library.
"""
