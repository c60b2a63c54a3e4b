"""The list of the commands, by what they are for, and the module of each."""

from __future__ import annotations

SECTIONS = {
    "Look": {
        "info": "look",
        "ps": "look",
        "releases": "look",
        "logs": "on_host",
        "doctor": "doctor",
        "lock": "lock",
    },
    "Change": {
        "up": "change",
        "preview": "change",
        "deploy": "change",
        "rollback": "rollback",
        "promote": "promote_command:command",
        "scale": "change",
        "lost": "machines",
        "roll": "machines",
        "destroy": "change",
        "config": "config_vars",
        "keys": "keys",
    },
    "Workers": {"restart": "act", "stop": "act", "start": "act"},
    "On a host": {"run": "on_host", "ssh": "on_host"},
}
"""What the commands are for -> command -> its module, which is loaded when it is needed.

The command's name there is its own, where no other one is said.
"""
MODULES = {name: module for commands in SECTIONS.values() for name, module in commands.items()}
PROMOTE = "promote"
"""The one whose argument the stack is."""
