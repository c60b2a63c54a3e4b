"""The reference of settings names every setting with its default, and links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from satellite_infra.settings import HostSettings, ProcessSettings, Settings

CHECKOUT = Path(__file__).parents[2]
REFERENCE = (CHECKOUT / "docs" / "settings.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (`.*?) \| .* \|(.*)\|$", REFERENCE, re.MULTILINE)
PAGES = sorted(
    [*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md"), *CHECKOUT.glob("examples/**/*.md")]
)


def documented() -> dict[str, str]:
    """Key -> what stands in the column `default`; `a.b`, `.c` in one row are two keys."""
    found: dict[str, str] = {}
    for keys, default in ROWS:
        names = re.findall(r"`([^`]+)`", keys)
        defaults = default.strip().split(", ")
        for number, name in enumerate(names):
            whole = names[0].rpartition(".")[0] + name if name.startswith(".") else name
            found[whole] = defaults[number if len(defaults) == len(names) else 0]
    return found


def test_every_setting_is_there_and_no_other() -> None:
    assert set(documented()) == {
        *Settings.model_fields,
        *(f"processes.TYPE.{key}" for key in ProcessSettings.model_fields),
        *(f"hosts.NAME.{key}" for key in HostSettings.model_fields),
    } - {"hosts.NAME.instance_type", "hosts.NAME.private_ip"}
    assert "with `instance_type`, `private_ip` or `lost`" in REFERENCE


@pytest.mark.parametrize(
    ("model", "prefix"), [(Settings, ""), (ProcessSettings, "processes.TYPE.")]
)
def test_plain_defaults_are_those_of_the_program(
    model: type[Settings | ProcessSettings], prefix: str
) -> None:
    told = documented()
    wrong = {}
    for key, field in model.model_fields.items():
        value = field.default
        if value is PydanticUndefined or value is None or isinstance(value, (tuple, dict)):
            continue
        text = (
            f"`{str(value).lower() if isinstance(value, bool) else value}`" if value != "" else ""
        )
        words = not told[prefix + key].startswith("`")  # `required`, `closed`, ...
        if told[prefix + key] != text and not (text == "" and words):
            wrong[key] = (told[prefix + key], text)
    assert wrong == {}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
