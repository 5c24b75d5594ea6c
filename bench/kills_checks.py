"""What must hold of a recording after a kill, and after its run went on. Pure: words come out."""

from collections import Counter
from collections.abc import Sequence

from pipeline.core.codec import Entry
from pipeline.core.events import RunEnded, ToolEnded, ToolStarted


def check_killed(entries: Sequence[Entry], executed: Counter[int]) -> list[str]:
    """What is wrong with a recording whose run was killed while a server executed these calls."""
    wrong: list[str] = []
    if [entry.seq for entry in entries] != [*range(1, len(entries) + 1)]:
        wrong.append(f"seq has gaps: {[entry.seq for entry in entries]}")
    written = {_number(e.item) for e in entries if isinstance(e.item, ToolStarted)}
    if unwritten := sorted(set(executed) - written):
        wrong.append(f"executed, but not written down as started: {unwritten}")
    return wrong


def check_resumed(
    before: Sequence[Entry], entries: Sequence[Entry], executed: Counter[int]
) -> list[str]:
    """What is wrong with the recording after its run went on to its end."""
    wrong: list[str] = []
    if list(entries[: len(before)]) != list(before):
        wrong.append("what was recorded before the kill is not what it was")
    if [entry.seq for entry in entries] != [*range(1, len(entries) + 1)]:
        wrong.append("seq has gaps after the resumed run")
    items = [entry.item for entry in entries]
    if not items or not isinstance(items[-1], RunEnded):
        wrong.append("it does not end with run_ended")
    ended: dict[str, list[str]] = {}
    for item in items:
        if isinstance(item, ToolEnded):
            ended.setdefault(item.call, []).append("error" if item.is_error else item.outcome)
    for item in items:
        if not isinstance(item, ToolStarted):
            continue
        ends, n, count = ended.pop(item.call, []), _number(item), executed[_number(item)]
        if len(ends) != 1:
            wrong.append(f"{item.call} was started and ended {len(ends)} times: {ends}")
        if item.tool == "act" and count > 1:
            wrong.append(f"{item.call} (n={n}) may do harm, and was executed {count} times")
        if ends == ["answered"] and count < 1:
            wrong.append(f"{item.call} (n={n}) was answered, and never executed")
        if ends == ["not_sent"] and count:
            wrong.append(f"{item.call} (n={n}) was not sent, and executed {count} times")
    if ended:
        wrong.append(f"ended, but never started: {sorted(ended)}")
    return wrong


def _number(started: ToolStarted) -> int:
    return int(started.arguments["n"])
