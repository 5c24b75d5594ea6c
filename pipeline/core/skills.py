"""Skills that a server offers, and whether a file of one is what was promised.

MCP extension `io.modelcontextprotocol/skills` (SEP-2640), "Integrity and Verification": a host
reads no file ahead of need, and verifies each one that it reads against the digest and the size in
the list; the frontmatter of `SKILL.md` is the one in the list.
"""

from hashlib import sha256
from typing import Any

import msgspec

from pipeline.core.events import Json
from pipeline.core.jsonrpc import shorten
from pipeline.core.shapes import is_list, is_object

EXTENSION = "io.modelcontextprotocol/skills"
LIST = "skills/list"
_FENCE = "---"


class File(msgspec.Struct, frozen=True):
    """A file of a skill, as the list has it; `frontmatter` is there for the skill's own page."""

    skill: str
    digest: str
    size: int | None = None
    frontmatter: Json | None = None


def files_of(result: Json) -> dict[str, File]:
    """The files of all skills in the result of `skills/list`, by their URI."""
    found: dict[str, File] = {}
    skills = result.get("skills")
    for skill in skills if is_list(skills) else ():
        if not is_object(skill) or not isinstance(page := skill.get("uri"), str):
            continue
        frontmatter = skill.get("frontmatter")
        resources = skill.get("resources")
        for file in resources if is_list(resources) else ():
            match file:
                case {"uri": str() as uri, "digest": str() as digest}:
                    size = file.get("size")
                    found[uri] = File(
                        skill=page,
                        digest=digest,
                        size=size if isinstance(size, int) else None,
                        frontmatter=frontmatter if uri == page and is_object(frontmatter) else None,
                    )
                case _:
                    pass
    return found


def problem_with(file: File, uri: str, result: Json) -> str:
    """Why what was read may not be used; empty if it is as promised."""
    contents = result.get("contents")
    mine = (
        [c for c in contents if is_object(c) and c.get("uri") == uri] if is_list(contents) else []
    )
    if len(mine) != 1 or not isinstance(text := mine[0].get("text"), str):
        return f"found no text of {uri}, expected it alone"
    data = text.encode("utf-8", "surrogatepass")
    if file.size is not None and len(data) != file.size:
        return f"found {len(data)} bytes of {uri}, expected {file.size}"
    found = f"sha256:{sha256(data).hexdigest()}"
    if found != file.digest:
        return f"found the digest {found} of {uri}, expected {shorten(file.digest)}"
    if file.frontmatter is not None and _frontmatter(text) != file.frontmatter:
        return f"the frontmatter of {uri} is not the one in the list of skills"
    return ""


def _frontmatter(text: str) -> Any:
    """What stands between the first two lines of `---`; None if that is no YAML."""
    import yaml  # noqa: PLC0415  most servers have no skills

    lines = text.splitlines()
    if not lines or lines[0].strip() != _FENCE:
        return None
    end = next((at for at, line in enumerate(lines[1:], 1) if line.strip() == _FENCE), None)
    if end is None:
        return None
    try:
        return yaml.safe_load("\n".join(lines[1:end]))
    except yaml.YAMLError:
        return None
