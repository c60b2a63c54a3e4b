"""How the base image is built, as far as that can be told without building it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from lab.base import RECIPE, hooks
from tests.programs import executable


def test_a_checkout_whose_path_has_a_blank_finds_its_steps(tmp_path: Path) -> None:
    recipe = tmp_path / "a checkout" / RECIPE.name
    for name in ("prepare.sh", "customize.sh"):
        executable(recipe / name, '#!/bin/sh\necho "${0##*/}: $1, $2"\n')
    said = [
        subprocess.run(
            ["sh", "-c", option.partition("=")[2], "sh", "/the root"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for option in hooks(recipe)
    ]
    assert said == ["prepare.sh: /the root, \n", f"customize.sh: /the root, {recipe}\n"]
