"""The documents say what the code does."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import click
import pytest

from sagestack.cli import main
from sagestack.engine.images import BUILT_IN

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SETTING = re.compile(r"\bSAGESTACK_[A-Z_]+\b")


def text_of_documents() -> str:
    return "\n".join(path.read_text() for path in DOCUMENTS)


@pytest.mark.parametrize("command", sorted(main.commands))
def test_command_is_documented_with_its_options(command: str) -> None:
    text = (ROOT / "docs/cli.md").read_text()
    assert f"sagestack {command}" in text
    options = [
        option
        for parameter in main.commands[command].params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
        if option.startswith("--")
    ]
    assert [option for option in options if option not in text] == []


def test_setting_is_documented() -> None:
    used = {
        name
        for path in (ROOT / "sagestack").rglob("*.py")
        for name in SETTING.findall(path.read_text())
    }
    documented = set(SETTING.findall((ROOT / "docs/cli.md").read_text()))
    assert used - documented == set()


def test_make_target_in_the_documents_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z0-9]+)\b", (ROOT / "README.md").read_text()))
    assert named - targets == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_link_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text())
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("image", [image.name for image in BUILT_IN])
def test_image_is_documented(image: str) -> None:
    assert f"`{image}`" in (ROOT / "docs/images.md").read_text()


def test_no_path_of_a_machine_is_committed() -> None:
    found = subprocess.run(
        ["git", "grep", "-nIE", r"(^|[^A-Za-z0-9_.~}])/(home|Users)/[a-z]", "--", ".", ":!tests"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout == ""
