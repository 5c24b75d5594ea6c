"""What the documents say is what the program does."""

import json
import re
import runpy
from pathlib import Path

import jsonschema
import pytest

from pipeline.core.codec import Upgrade

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_page_of_events_is_what_the_types_say() -> None:
    render = runpy.run_path(str(ROOT / "docs" / "generate.py"))["render"]
    assert (ROOT / "docs" / "events.md").read_text("utf-8") == render(), "run `make docs`"


def test_the_schema_of_a_recording_is_what_the_types_say() -> None:
    schema = runpy.run_path(str(ROOT / "docs" / "generate.py"))["schema"]
    assert (ROOT / "docs" / "recording.schema.json").read_text("utf-8") == schema(), (
        "run `make docs`"
    )


@pytest.mark.parametrize("path", sorted((ROOT / "tests" / "recordings").glob("*.jsonl")))
def test_each_line_of_a_real_recording_fits_the_schema(path: Path) -> None:
    schema = json.loads((ROOT / "docs" / "recording.schema.json").read_text("utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    first, *rest = path.read_bytes().splitlines()
    upgrade = Upgrade(first)
    lines = [json.loads(line) for line in (upgrade.first, *map(upgrade, rest))]
    for line in lines:
        validator.validate(line)
    assert not validator.is_valid({**lines[1], "seq": 0})
    assert not validator.is_valid({**lines[1], "kind": "sung"})
    assert not validator.is_valid({**lines[0], "format": 1})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text("utf-8"))
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert "readme_command test" in (ROOT / ".ci" / "run").read_text("utf-8")
    readme = (ROOT / "README.md").read_text("utf-8")
    assert len(re.findall(r"<!-- command: (chat|test) -->\n```sh\n[^\n]+\n```", readme)) == 2
