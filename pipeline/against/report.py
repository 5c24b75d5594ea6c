"""What came of a comparison, in words for people: harmless, and a line each; and for programs."""

import json
from collections.abc import Iterator

import msgspec

from pipeline.against.behaviour import Wish
from pipeline.against.verdict import Comparison, Difference, Prompt, Result
from pipeline.core.events import CallSubmitted, Json, PromptSubmitted, RequestSubmitted, RunEnded
from pipeline.looks.words import count
from sinks.terminal_text import clip, one_line

_LABELS: dict[Result, str] = {
    "ok": "ok",
    "differs": "differs",
    "left_out": "left out",
    "not_run": "not run",
}
_WIDTH = max(map(len, _LABELS.values()))
_WISH = 100  # characters of a prompt
_LONGEST = 300  # characters of a line


def in_words(name: str, found: Comparison, ended: RunEnded, code: int) -> str:
    """A line for each prompt, below it what differs; last what it comes to. `name` is the file's.

    Ends without a newline.
    """
    lines = [f"{'differs':<{_WIDTH}}  {_place(each)}" for each in found.offers]
    for number, prompt in enumerate(found.prompts, 1):
        lines += _prompt(number, prompt)
    lines.append(f"{name} against live: {_summary(found)}")
    if code == ended.code != 0:
        lines.append(f"the run ended with exit status {code}: {ended.reason}")
    return "\n".join(one_line(clip(line, _LONGEST)) for line in lines)


def as_json(name: str, found: Comparison, ended: RunEnded, code: int) -> str:
    """One object on one line, ASCII.

    {"recording": name, "against": "live", "is_same": bool, "offers": [difference…],
    "prompts": [{"prompt": words, "result": "ok" | "differs" | "left_out" | "not_run",
    "differences": [difference…], "notes": [words…]}…], "exit_code": n, "reason": text}

    A difference has a `kind`, a `text`, and `server` and `tool` where it is of one. `reason` is
    that of the run, where it failed.
    """
    value: Json = {
        "recording": name,
        "against": "live",
        "is_same": found.is_same,
        "offers": msgspec.to_builtins(found.offers),
        "prompts": [
            {"prompt": _words(each.wish), **_without_wish(msgspec.to_builtins(each))}
            for each in found.prompts
        ],
        "exit_code": code,
        "reason": ended.reason,
    }
    return json.dumps(value)


def _without_wish(prompt: Json) -> Json:
    return {key: value for key, value in prompt.items() if key != "wish"}


def _prompt(number: int, prompt: Prompt) -> Iterator[str]:
    is_missing = prompt.result in ("left_out", "not_run")
    why = f" ({'; '.join(prompt.notes)})" if is_missing else ""
    words = clip(_words(prompt.wish), _WISH)
    yield f"{_LABELS[prompt.result]:<{_WIDTH}}  {number:>2}  {words}{why}"
    below = " " * (_WIDTH + 6)
    for each in prompt.differences:
        yield f"{below}{_place(each)}"
    if not is_missing:
        for note in prompt.notes:
            yield f"{below}note: {note}"


def _place(found: Difference) -> str:
    where = " ".join(part for part in (found.server, found.tool) if part)
    return f"{where}: {found.text}" if where else found.text


def _words(wish: Wish) -> str:
    match wish:
        case PromptSubmitted(text=text):
            return text
        case CallSubmitted(tool=tool, arguments=arguments):
            return f"call {tool} {arguments}".rstrip()
        case RequestSubmitted(method=method, params=params):
            return f"{method} {msgspec.json.encode(params).decode() if params else ''}".rstrip()


def _summary(found: Comparison) -> str:
    counts = [(found.count(result), label) for result, label in _LABELS.items()]
    counted = ", ".join(f"{number} {label}" for number, label in counts if number)
    prompts = f"{count(len(found.prompts), 'prompt')}: {counted}" if counted else "no prompts"
    differ = count(len(found.offers), "difference")
    return f"{prompts}; servers and tools: {differ if found.offers else 'as recorded'}"
