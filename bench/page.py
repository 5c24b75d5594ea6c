"""The blocks of docs/reliability.md that commands write: what was measured, and nothing by hand."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reliability.md"


def write_block(name: str, text: str, page: Path = PAGE) -> None:
    """Put `text` between the marks `<!-- NAME: begin -->` and `<!-- NAME: end -->`.

    Raises:
        ValueError: If the page has no such marks.
    """
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, is_there, rest = page.read_text("utf-8").partition(begin)
    _, is_closed, after = rest.partition(end)
    if not is_there or not is_closed:
        raise ValueError(
            f"found no block {name!r} in {page.name}, expected {begin.strip()} … {end}"
        )
    page.write_text(f"{before}{begin}{text}\n{end}{after}", "utf-8")
