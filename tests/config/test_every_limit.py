"""Every deadline and limit is a setting with a flag, and every flag that is spoken of exists."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from config import options
from config.command_line import Shown, read_command_line
from config.fields.marks import SECONDS, SIZE
from config.help import EXTRAS
from config.options import Options
from config.settings import Settings
from config.variables import FLAGS, VARIABLES
from pipeline.core.plan import Plan
from pipeline.plans import SHARED, make_plan

ROOT = Path(__file__).parents[2]
_ROOMS = ("config", "operators", "pipeline", "server", "sinks")
_FILES = [ROOT / "main.py", *(path for room in _ROOMS for path in (ROOT / room).rglob("*.py"))]
_STYLE = ROOT / "pipeline/looks/style.py"  # variables of CSS look like flags
SOURCES = {path.relative_to(ROOT).as_posix(): path for path in _FILES if path != _STYLE}
_PAGES = [ROOT / "README.md", ROOT / ".env.example", *(ROOT / "docs").rglob("*.md")]
PAGES = {path.relative_to(ROOT).as_posix(): path for path in _PAGES}
SPOKEN = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")
KNOWN = {flag.name for flag in FLAGS.values()} | {flag.name for flag, _ in EXTRAS.values()}
NOT_OURS = {
    "pipeline/pytest_plugin.py": {"--record-mode"},
    "pipeline/cassette.py": {"--record-mode"},
    "README.md": {"--cov", "--dist"},
    "docs/reliability.md": {"--jobs", "--outage", "--seconds", "--seeds"},
    "docs/conformance.md": {"--sdk", "--write", "--spec-version"},
    "docs/testing-with-recordings.md": {"--record-mode"},
}
"""Flags of pytest, and of programs that are run beside this one."""

NEWER = ("max_refusals", "list_pause")
"""A plan that says nothing of these is of a time without them."""

SHOWN_TO_ALL = (
    *("--connect-timeout", "--call-timeout", "--call-timeout-max", "--start-timeout", "--silence"),
    *("--post-timeout", "--question-timeout", "--model-first-token", "--model-silence"),
    *("--oauth-timeout", "--retry-attempts", "--retry-total", "--shutdown-timeout"),
)


DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def numbers_of(plan: type[Plan]) -> list[str]:
    return [
        name
        for name, kind in inspect.get_annotations(plan, eval_str=True).items()
        if kind in (int, float, int | None, float | None)
    ]


def groups() -> list[type[Options]]:
    made = [each for _, each in inspect.getmembers(options, inspect.isclass)]
    return [each for each in made if issubclass(each, Options) and each is not Options]


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """The texts of a module, with their lines; docstrings are for its readers."""
    tree = ast.parse(path.read_text("utf-8"))
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, DOCUMENTED)]
    documents = {id(body[0].value) for body in bodies if body and isinstance(body[0], ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in documents:
            yield node.lineno, node.value if isinstance(node.value, str) else ""


def page(*argv: str) -> str:
    with pytest.raises(Shown) as caught:
        read_command_line(argv, {}, None)
    return str(caught.value)


# --- each limit is a setting --------------------------------------------------------------------


@pytest.mark.parametrize("name", numbers_of(Plan))
def test_each_number_of_a_plan_is_said_by_its_flag(name: str) -> None:
    """So a time or a limit that the core knows can be told on the command line."""
    value = {"call_timeout": 599, "call_timeout_max": 61}.get(name, 7)
    settings = read_command_line((FLAGS[name].name, str(value)), {}, None)
    plan = make_plan(settings, (), goal="chat", is_interactive=False)
    assert getattr(plan, name) == value


def test_what_settings_and_plan_share_has_the_same_default() -> None:
    settings, plan = Settings(), Plan()
    same = [name for name in SHARED if name not in NEWER]
    assert {name: getattr(settings, name) for name in same} == {
        name: getattr(plan, name) for name in same
    }


@pytest.mark.parametrize("group", groups(), ids=lambda group: group.__name__)
def test_each_number_of_an_option_group_has_a_flag(group: type[Options]) -> None:
    """A field is told by its identity: default, bounds and description are those of the group."""
    flags = [Settings.model_fields[field].description for field in FLAGS]
    for name, info in group.model_fields.items():
        if info.annotation in (int, float, int | None):
            assert group.__name__ == "FaultWish" or info.description in flags, name


def _is_time(field: str, info: FieldInfo) -> bool:
    return info.annotation is float and not field.endswith(("_usd", "_factor"))


@pytest.mark.parametrize("field", [f for f, i in Settings.model_fields.items() if _is_time(f, i)])
def test_each_time_says_its_unit(field: str) -> None:
    assert FLAGS[field].metavar == SECONDS
    assert "seconds" in str(Settings.model_fields[field].description)


@pytest.mark.parametrize(
    "field", [field for field in Settings.model_fields if field.endswith("_bytes")]
)
def test_each_size_says_its_unit_and_takes_one(field: str) -> None:
    assert FLAGS[field].metavar == SIZE
    assert "bytes" in str(Settings.model_fields[field].description)
    assert getattr(read_command_line((FLAGS[field].name, "3MiB"), {}, None), field) == 3 * 2**20
    assert getattr(read_command_line((), {VARIABLES[field]: "3 kB"}, None), field) == 3000


@pytest.mark.parametrize("flag", SHOWN_TO_ALL)
def test_each_deadline_is_on_the_short_help_page_with_its_default(flag: str) -> None:
    (field,) = [field for field, each in FLAGS.items() if each.name == flag]
    words = " ".join(page("--help").partition(f" {flag} ")[2].split())
    assert f"[{Settings.model_fields[field].default:g}]" in words.partition(" --")[0]


# --- each flag that is spoken of exists ---------------------------------------------------------


def test_each_flag_that_a_text_of_the_program_names_exists() -> None:
    unknown = [
        f"{name}:{line}: {flag}"
        for name, path in SOURCES.items()
        for line, text in texts(path)
        for flag in SPOKEN.findall(text)
        if flag not in KNOWN | NOT_OURS.get(name, set())
    ]
    assert not unknown


def test_each_flag_that_a_page_names_exists() -> None:
    unknown = {
        f"{name}: {flag}"
        for name, path in PAGES.items()
        for flag in SPOKEN.findall(path.read_text("utf-8"))
        if flag not in KNOWN | NOT_OURS.get(name, set())
    }
    assert not unknown
