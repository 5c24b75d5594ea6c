"""What goes where on a timeline: the times that count, and calls side by side."""

from collections.abc import Callable, Sequence

from pipeline.core.story import Call, Note, Story, Turn

_MAX_ROWS = 8


def busy(story: Story) -> list[tuple[float, float]]:
    """The times in which something is under way."""
    spans: list[tuple[float, float]] = [(0.0, 0.0), (story.duration, story.duration)]
    for server in story.servers:
        if server.opened is not None and server.ready_at is not None:
            spans.append((server.opened, server.ready_at))
        spans += [(o.began, o.began) for o in server.outages]
        spans += [(o.ended, o.ended) for o in server.outages if o.ended is not None]
    for chapter in story.chapters:
        if isinstance(chapter, Note):
            spans.append((chapter.at, chapter.at))
        else:
            spans += _busy_in(chapter)
    return spans


def _busy_in(turn: Turn) -> list[tuple[float, float]]:
    spans = [(turn.asked, turn.asked)]
    for step in turn.steps:
        if isinstance(step, Note):
            spans.append((step.at, step.at))
        else:
            spans.append((step.began, step.began if step.ended is None else step.ended))
    return spans


def rows(
    calls: Sequence[Call], span: Callable[[float, float | None], tuple[float, float]]
) -> list[list[Call]]:
    """Calls side by side on rows of their own, each on the first that is free."""
    rows: list[list[Call]] = []
    free: list[float] = []
    for call in calls:
        x, end = span(call.began, call.ended)
        at = next((at for at, until in enumerate(free) if until <= x), len(rows))
        if at == len(rows):
            if len(rows) == _MAX_ROWS:
                at = free.index(min(free))
            else:
                rows.append([])
                free.append(0.0)
        rows[at].append(call)
        free[at] = max(free[at], end + 1)
    return rows
