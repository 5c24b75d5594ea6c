"""Build hook: the wheel holds one top-level name, `rxmcp`, with every room below it.

The checkout keeps the rooms at the top (`pipeline/`, `sinks/`, …), where people work on them.
Nobody wants a package called `config` in site-packages, so the wheel gets the same files under
`rxmcp/`, and every import of a room is rewritten (`from pipeline.core` becomes
`from rxmcp.pipeline.core`). See docs/decisions/0002-one-name-in-the-wheel.md.
"""

import re
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOMS = ("config", "operators", "pipeline", "server", "sinks")
TOP_MODULES = ("main",)

_IMPORT = re.compile(
    rf"^(?P<indent>\s*)(?P<word>from|import)\s+(?P<room>{'|'.join((*ROOMS, *TOP_MODULES))})\b",
    re.MULTILINE,
)
_EDITABLE = '''"""rxmcp, installed from a checkout: its rooms are found there."""

import sys

sys.path.append({root!r})
'''
_EDITABLE_MAIN = '''"""The `rxmcp` command of an editable install: the checkout's own main.py."""

from main import run

__all__ = ["run"]
'''
_EDITABLE_PLUGIN = '''"""The pytest plugin of an editable install: the checkout's own."""

from pipeline.pytest_plugin import *  # noqa: F403  all of it is hooks
'''


def rewrite(source: str) -> str:
    """Move every import of a room below `rxmcp`.

    Raises:
        ValueError: For `import room` or `import room.module`, which would bind another name after
            the move. Rooms are imported with `from room.module import name`.
    """
    for found in _IMPORT.finditer(source):
        if found["word"] == "import":
            raise ValueError(f"found {found[0].strip()!r}; write 'from {found['room']}… import …'")
    return _IMPORT.sub(r"\g<indent>\g<word> rxmcp.\g<room>", source)


class RoomsHook(BuildHookInterface):  # pyright: ignore[reportMissingTypeArgument]  (plugin API)
    """Fills the wheel from the rooms of the checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it builds a wheel."""
        root = Path(self.root)
        target = Path(mkdtemp(prefix="rxmcp-wheel-"))
        if version == "editable":
            (target / "__init__.py").write_text(_EDITABLE.format(root=str(root)))
            (target / "main.py").write_text(_EDITABLE_MAIN)
            (target / "pipeline").mkdir()
            (target / "pipeline" / "__init__.py").touch()
            (target / "pipeline" / "pytest_plugin.py").write_text(_EDITABLE_PLUGIN)
            build_data["force_include_editable"][str(target)] = "rxmcp"
            return
        for source in _sources(root):
            copy = target / source.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(rewrite(source.read_text("utf-8")), "utf-8")
        (target / "__init__.py").write_text('"""rxmcp: an MCP client on reactive streams."""\n')
        (target / "py.typed").touch()
        build_data["force_include"][str(target)] = "rxmcp"


def _sources(root: Path) -> list[Path]:
    rooms = [path for room in ROOMS for path in sorted((root / room).rglob("*.py"))]
    return [*(root / f"{name}.py" for name in TOP_MODULES), *rooms]
