"""What can go wrong with a call, and what its user then gets: the fault matrix, as data.

Each row is a script for one `tools/call` (`tests/faults/steps.py`). `outcome` is how that call
ends, `executed` how often it really ran; `says` is a piece of what the user is told of it. The call
after it is answered in every row: `tests/faults/test_matrix.py`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.faults import dialects
from tests.faults.dialects import BY_ANSWER, DIALECTS, JSON_RPC, OF_ONE_STREAM, Dialect
from tests.faults.exchange import Exchange, Step
from tests.faults.good import accept, answer, as_json, end, right_text, run, say, status
from tests.faults.ledger import ERROR
from tests.faults.steps import (
    begin_packed,
    bomb,
    close,
    cut,
    drip,
    drip_for_ever,
    drop,
    elsewhere,
    expire,
    half,
    keep,
    pings,
    progress,
    restart,
    rst,
    silence,
    until_given_up,
)

IN_TIME = "(--call-timeout)"
_SMALL = {"RXMCP_MAX_EVENT_BYTES": "2000", "RXMCP_MAX_BODY_BYTES": "2000"}
_TOO_MUCH = "000 bytes"
_BOMB_MIB = 64


@dataclass(frozen=True)
class Row:
    """A fault. `outcome` may differ by dialect: as `ToolEnded.outcome`, or `ERROR`."""

    script: Sequence[Step]
    outcome: str | Mapping[Dialect, str]
    says: str = ""
    executed: int | Mapping[Dialect, int] = 1
    dialects: Sequence[Dialect] = DIALECTS
    argv: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])

    def outcome_in(self, dialect: Dialect) -> str:
        return self.outcome if isinstance(self.outcome, str) else self.outcome[dialect]

    def executed_in(self, dialect: Dialect) -> int:
        return self.executed if isinstance(self.executed, int) else self.executed[dialect]


def _by(one_stream: str, by_answer: str, **others: str) -> Mapping[Dialect, str]:
    """Outcomes that hang on how the dialect answers; `others` are exceptions to that."""
    same = dict.fromkeys(OF_ONE_STREAM, one_stream) | dict.fromkeys(BY_ANSWER, by_answer)
    return {dialect: others.get(dialect, outcome) for dialect, outcome in same.items()}


def _for(x: Exchange, id_: object, text: str = "of nobody") -> bytes:
    """An answer to another id."""
    result = {"content": [{"type": "text", "text": text}]}
    return dialects.answer_event(x.dialect, dialects.answer_text(x.dialect, id_, result))


def saying(text: str, *, is_escaped: bool = False) -> Step:
    """The right answer with more text behind it; a peer may escape what JSON need not."""

    def answer_with(x: Exchange) -> bytes:
        right = json.loads(right_text(x))
        content = right["content"] if x.dialect == "seed" else right["result"]["content"]
        content[0]["text"] += text
        data = json.dumps(right, ensure_ascii=is_escaped)
        return dialects.answer_event(x.dialect, data)

    return say(answer_with)


def _spelt(end_of_line: str, before: bytes = b"") -> Step:
    """The right answer, with other ends of lines, and bytes before it."""

    def spell(x: Exchange) -> bytes:
        name = "result" if x.dialect == "seed" else "message"
        return before + dialects.event(right_text(x), name, end=end_of_line)

    return say(spell)


def _dirt(data: str) -> Step:
    """An event that should have been a message."""
    return say(dialects.event(data, "message"))


def _batch(x: Exchange) -> bytes:
    other = dialects.notification("notifications/message", level="info", data="hello")
    return dialects.answer_event(x.dialect, f"[{other},{right_text(x)}]")


def _rotten(x: Exchange) -> bytes:
    return dialects.answer_event(x.dialect, f"[{'[' * 100_000}{']' * 100_000},{right_text(x)}]")


_REFUSED = _by("not_sent", ERROR)
_JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"

LOST: Mapping[str, Row] = {
    # --- the message is not taken ---
    "reset before the call is taken": Row([drop], "unknown", "connection reset", executed=0),
    "closed before the call is taken": Row([close], "unknown", "without an answer", executed=0),
    "500, not executed": Row([status("500 No", b"no")], "unknown", "HTTP 500 no", executed=0),
    "500, executed": Row([run, status("500 No", b"no")], "unknown", "HTTP 500 no"),
    "503": Row([status("503 No")], "answered", "HTTP 503"),
    "503, behind a mesh": Row(
        [run, status("503 No", b"upstream connect error or disconnect/reset before headers")],
        "unknown",
        "HTTP 503",
    ),
    "429, for longer than a call may wait": Row(
        [status("429 No", retry_after="9")], "not_sent", "it asks for 9 s", executed=0
    ),
    "429, for a moment": Row([status("429 No", retry_after="0")], "answered", "HTTP 429"),
    "413": Row([status("413 Too Large")], _REFUSED, "HTTP 413", executed=0),
    "401": Row([status("401 No")], _REFUSED, "HTTP 401", executed=0),
    "403": Row([status("403 No")], _REFUSED, "HTTP 403", executed=0),
    "404, the session is known": Row(
        [status("404 Not Found")],
        _by("answered", ERROR, http="answered"),
        executed={"seed": 1, "sse": 1, "http": 1, "modern": 0},
    ),
    "the session has expired": Row(
        [expire],
        "answered",
        dialects=("seed", "sse", "http"),
    ),
    "a redirect to another origin": Row(
        [status("307 Moved", location="http://127.0.0.1:1/")], "unknown", "not followed", executed=0
    ),
    "no HTTP": Row([run, b"SSH-2.0-OpenSSH\r\n", close], "unknown", "does not speak HTTP"),
    # --- taken, and never answered ---
    "no answer, signs of life": Row([run, accept, pings], "unknown", IN_TIME),
    "no answer, silence": Row([run, accept, silence], "unknown", IN_TIME),
    "no answer, not even a status": Row(
        [run, silence], "unknown", IN_TIME, env={"RXMCP_POST_TIMEOUT": "0.3"}, dialects=BY_ANSWER
    ),
    "not even a status, where answers come on another stream": Row(
        [run], "unknown", IN_TIME, dialects=OF_ONE_STREAM
    ),
    "no answer, progress for ever": Row(
        [run, accept, progress],
        "unknown",
        "--call-timeout-max",
        argv=("--call-timeout-max", "0.6"),
        dialects=JSON_RPC,
    ),
    "no answer, a line that drips for ever": Row(
        [run, accept, drip_for_ever], "unknown", IN_TIME, dialects=BY_ANSWER
    ),
    "a stream without an answer": Row(
        [run, accept, end], "unknown", "without a result", dialects=BY_ANSWER
    ),
    "202 in place of an answer": Row(
        [run, status("202 Accepted")], "unknown", "gave no answer", dialects=BY_ANSWER
    ),
    "204": Row(
        [run, b"HTTP/1.1 204 No Content\r\n\r\n"], "unknown", "no answer", dialects=BY_ANSWER
    ),
    "HTML": Row(
        [run, status("200 OK", b"<html>", content_type="text/html")], "unknown", "no answer"
    ),
    # --- cut off ---
    "reset after it is taken": Row([run, accept, rst], "unknown", "broke off"),
    "half an event, then a reset": Row([run, accept, half, rst], "unknown", "broke off"),
    "half an event, then an end": Row([run, accept, half, cut], "unknown", "broke off"),
    "JSON that is cut": Row([run, _JSON_HEAD, close], "unknown", "broke off"),
    "a restart, not executed": Row([restart], "unknown", executed=0),
    "a restart, executed": Row([run, accept, restart], "unknown", "broke off"),
    # --- too much ---
    "an endless line": Row(
        [run, accept, say(b"data: " + b"x" * 3000)], "unknown", _TOO_MUCH, env=_SMALL
    ),
    "an endless event": Row(
        [run, accept, say(b"data: x\n" * 1000)], "unknown", _TOO_MUCH, env=_SMALL
    ),
    "a large body": Row(
        [run, as_json(b"{" + b" " * 3000)], "unknown", _TOO_MUCH, env=_SMALL, dialects=BY_ANSWER
    ),
    "a gzip bomb as JSON": Row(
        [run, as_json(bomb(b"{", _BOMB_MIB), content_encoding="gzip")],
        "unknown",
        _TOO_MUCH,
        env=_SMALL,
        dialects=BY_ANSWER,
    ),
    "a gzip bomb as an event": Row(
        [run, begin_packed, say(bomb(b"data: ", _BOMB_MIB))],
        "unknown",
        _TOO_MUCH,
        env=_SMALL,
        dialects=BY_ANSWER,
    ),
}
"""Faults that cost the answer."""

HARMLESS: Mapping[str, Row] = {
    "a reset after the answer": Row([run, accept, answer, rst], "answered"),
    "answered twice": Row([run, accept, answer, answer, end], "answered", "an answer for unknown"),
    "an answer to another id first": Row(
        [run, accept, say(lambda x: _for(x, "call:c99")), answer, end], "answered", "'call:c99'"
    ),
    "an answer to an id that is a number": Row(
        [run, accept, say(lambda x: _for(x, 7)), answer, end],
        "answered",
        "id 7, which is not ours",
        dialects=JSON_RPC,
    ),
    "one byte at a time": Row([run, accept, drip, end], "answered"),
    "lines that end with CR": Row([run, accept, _spelt("\r"), end], "answered"),
    "lines that end with CRLF": Row([run, accept, _spelt("\r\n"), end], "answered"),
    "a comment and a field nobody knows": Row(
        [run, accept, _spelt("\n", b": hello\nwhat: ever\n"), end], "answered"
    ),
    "a batch": Row([run, accept, say(_batch), end], "answered", dialects=JSON_RPC),
    "JSON that is none first": Row(
        [run, accept, _dirt("{broken"), answer, end], "answered", "'{broken'", dialects=JSON_RPC
    ),
    "JSON that is no message first": Row(
        [run, accept, _dirt("[]"), answer, end], "answered", "batch", dialects=JSON_RPC
    ),
    "keys in another case first": Row(
        [run, accept, _dirt('{"Jsonrpc":"2.0","Method":"x"}'), answer, end],
        "answered",
        "neither a request, a notification nor an answer",
        dialects=JSON_RPC,
    ),
    "a key that is there twice first": Row(
        [run, accept, _dirt('{"id":"call:c98","id":"call:c99","result":{}}'), answer, end],
        "answered",
        "found 'id' twice",
        dialects=JSON_RPC,
    ),
    "JSON that is nested too deep first": Row(
        [run, accept, _dirt("[" * 100_000), answer, end], "answered", "nest", dialects=JSON_RPC
    ),
    "a batch with a member that is nested too deep": Row(
        [run, accept, say(_rotten), end], "answered", "1 of a batch of 2", dialects=JSON_RPC
    ),
    "Infinity first": Row(
        [run, accept, _dirt('{"a":Infinity}'), answer, end],
        "answered",
        "malformed",
        dialects=JSON_RPC,
    ),
    "NaN first": Row(
        [run, accept, _dirt('{"a":NaN}'), answer, end], "answered", "NaN", dialects=JSON_RPC
    ),
    "bytes that are no UTF-8 first": Row(
        [run, accept, say(b"data: \xff\xfe\n\n"), answer, end],
        "answered",
        "malformed",
        dialects=JSON_RPC,
    ),
    "text that can drive a terminal": Row(
        [run, accept, saying("\x1b[2J\x9b31m\u202e\U000e0041"), end], "answered"
    ),
    "an answer as JSON": Row(
        [run, as_json(lambda x: right_text(x).encode())], "answered", dialects=BY_ANSWER
    ),
    "taken up again where it broke off": Row(
        [run, accept, keep, cut], "answered", dialects=("http",)
    ),
    "too late": Row(
        [run, accept, until_given_up, elsewhere, answer], "unknown", IN_TIME, dialects=JSON_RPC
    ),
}
"""Faults that cost nothing; the last one only the patience of its user."""

ROWS: Mapping[str, Row] = {**LOST, **HARMLESS}
