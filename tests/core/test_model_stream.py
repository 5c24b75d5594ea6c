import json
from collections.abc import Iterable
from typing import Any

import pytest

from pipeline.core.events import ModelFinished, ModelSpoke, ModelThought, Tokens
from pipeline.core.model_block import BrokenTurnError
from pipeline.core.model_stream import ErrorEventError, ModelTurn

Json = dict[str, Any]


def ev(kind: str, **fields: Any) -> Json:
    return {"type": kind, **fields}


def start(index: int, **block: Any) -> Json:
    return ev("content_block_start", index=index, content_block=block)


def delta(index: int, kind: str, **fields: Any) -> Json:
    return ev("content_block_delta", index=index, delta={"type": kind, **fields})


def stop(index: int) -> Json:
    return ev("content_block_stop", index=index)


def begin(**usage: Any) -> Json:
    return ev("message_start", message={"id": "m", "model": "claude-x", "usage": usage})


def end(reason: str | None, **usage: Any) -> list[Json]:
    change = ev("message_delta", delta={"stop_reason": reason}, usage=usage)
    return [change, ev("message_stop")]


def run(events: Iterable[Json]) -> tuple[ModelTurn, list[ModelSpoke | ModelThought]]:
    turn = ModelTurn("c1", "asked")
    shown = [turn.feed(event["type"], json.dumps(event)) for event in events]
    return turn, [event for event in shown if event is not None]


def finished(events: Iterable[Json]) -> ModelFinished:
    turn, _ = run(events)
    assert turn.is_complete
    return turn.finish()


USE = [start(0, type="tool_use", id="t1", name="add", input={}), stop(0)]


def test_text_is_shown_as_it_comes_and_joined_in_the_end() -> None:
    turn, shown = run(
        [
            begin(input_tokens=10, output_tokens=1, cache_read_input_tokens=5),
            start(0, type="text", text=""),
            delta(0, "text_delta", text="3 "),
            delta(0, "text_delta", text=""),
            delta(0, "text_delta", text="and 7"),
            stop(0),
            *end("end_turn", output_tokens=7),
        ]
    )
    assert shown == [ModelSpoke(call="c1", text="3 "), ModelSpoke(call="c1", text="and 7")]
    assert turn.finish() == ModelFinished(
        call="c1",
        content=({"type": "text", "text": "3 and 7"},),
        stop_reason="end_turn",
        model="claude-x",
        tokens=Tokens(input=10, output=7, cache_read=5),
    )


def test_later_counts_replace_earlier_ones_and_missing_ones_do_not() -> None:
    begun = begin(input_tokens=10, output_tokens=1, cache_creation_input_tokens=3)
    text = [start(0, type="text", text="x"), stop(0)]
    change = ev("message_delta", delta={}, usage={"input_tokens": 12, "output_tokens": 5})
    last = end("end_turn", output_tokens=9, cache_creation_input_tokens=None)
    tokens = finished([begun, *text, change, *last]).tokens
    assert tokens == Tokens(input=12, output=9, cache_write=3)


def test_thinking_goes_back_with_its_signature_to_the_letter() -> None:
    turn, shown = run(
        [
            begin(),
            start(0, type="thinking", thinking="", signature=""),
            delta(0, "thinking_delta", thinking="need "),
            delta(0, "thinking_delta", thinking="both"),
            delta(0, "signature_delta", signature="sig+/=="),
            stop(0),
            start(1, type="redacted_thinking", data="opaque"),
            stop(1),
            start(2, type="text", text="", citations=None),
            delta(2, "citations_delta", citation={"cited_text": "x"}),
            delta(2, "text_delta", text="ok"),
            stop(2),
            *end("end_turn"),
        ]
    )
    assert [type(event) for event in shown] == [ModelThought, ModelThought, ModelSpoke]
    assert turn.finish().content == (
        {"type": "thinking", "thinking": "need both", "signature": "sig+/=="},
        {"type": "redacted_thinking", "data": "opaque"},
        {"type": "text", "text": "ok", "citations": [{"cited_text": "x"}]},
    )


def test_tool_input_is_joined_and_parsed_and_blocks_may_interleave() -> None:
    content = finished(
        [
            begin(),
            start(1, type="tool_use", id="t2", name="add"),  # no input, and not the first index
            start(0, type="tool_use", id="t1", name="echo", input={}, caller={"type": "direct"}),
            delta(1, "input_json_delta", partial_json='{"a": '),
            delta(0, "input_json_delta", partial_json=""),
            delta(1, "input_json_delta", partial_json="1}"),
            stop(1),
            stop(0),
            start(2, type="tool_use", id="t3", name="whole", input={"all": "at once"}),
            stop(2),
            *end("tool_use"),
        ]
    ).content
    assert content == (
        {"type": "tool_use", "id": "t1", "name": "echo", "input": {}, "caller": {"type": "direct"}},
        {"type": "tool_use", "id": "t2", "name": "add", "input": {"a": 1}},
        {"type": "tool_use", "id": "t3", "name": "whole", "input": {"all": "at once"}},
    )


def test_what_is_unknown_passes() -> None:
    server_use = {"type": "server_tool_use", "id": "s1", "name": "web_search"}
    turn, shown = run(
        [
            ev("future_event", message="not an object", index="x"),
            begin(),
            start(0, **server_use),
            delta(0, "input_json_delta", partial_json='{"q": "x"}'),
            stop(0),
            start(1, type="hologram", data=[1, 2]),
            delta(1, "future_delta", text=7),
            stop(1),
            *end("pause_turn"),
        ]
    )
    assert shown == []
    final = turn.finish()
    assert final.stop_reason == "pause_turn"
    assert final.content == (
        {**server_use, "input": {"q": "x"}},
        {"type": "hologram", "data": [1, 2]},
    )


def test_text_without_text_is_left_out_for_it_may_not_be_sent_back() -> None:
    texts = [start(0, type="text", text=""), delta(0, "text_delta", text=" \n"), stop(0)]
    use = [start(1, type="tool_use", id="t1", name="add", input={}), stop(1)]
    assert [b["type"] for b in finished([begin(), *texts, *use, *end("tool_use")]).content] == [
        "tool_use"
    ]


def test_text_that_a_block_starts_with_is_shown_too() -> None:
    turn, shown = run(
        [
            begin(),
            start(0, type="text", text="al"),
            delta(0, "text_delta", text="l"),
            start(1, type="thinking", thinking="hm"),
            *end("end_turn"),
        ]
    )
    assert shown == [
        ModelSpoke(call="c1", text="al"),
        ModelSpoke(call="c1", text="l"),
        ModelThought(call="c1", text="hm"),
    ]
    assert turn.finish().content[0] == {"type": "text", "text": "all"}


@pytest.mark.parametrize("given", ['{"a": 1', "", "[1]"])
def test_a_call_cut_by_a_limit_is_no_error_and_has_no_input(given: str) -> None:
    events = [
        begin(),
        start(0, type="tool_use", id="t1", name="add"),
        delta(0, "input_json_delta", partial_json=given),
        *end("max_tokens"),
    ]
    final = finished(events)
    assert final.stop_reason == "max_tokens"
    assert final.content == ({"type": "tool_use", "id": "t1", "name": "add", "input": {}},)


@pytest.mark.parametrize(
    ("events", "words"),
    [
        (USE, "message_stop without a stop reason"),
        ([start(0, type="tool_use", id="t1", name="add"), *end("tool_use")], "unfinished call"),
        ([start(0, type="text", text="x"), *end("tool_use")], "expected a tool_use block"),
        ([start(0, type="tool_use", name="add"), stop(0), *end("tool_use")], "id None"),
        ([start(0, type="tool_use", id="", name="add"), stop(0), *end("tool_use")], "id ''"),
        ([start(0, type="tool_use", id="t", name=3), stop(0), *end("tool_use")], "name 3"),
        (
            [
                *USE,
                start(1, type="tool_use", id="t1", name="add", input={}),
                stop(1),
                *end("tool_use"),
            ],
            "two tool_use blocks with id 't1'",
        ),
        *(
            (
                [USE[0], delta(0, "input_json_delta", partial_json=bad), stop(0), *end("tool_use")],
                "in the input of 'add': found",
            )
            for bad in ('{"a": 1', "[1]", '{"a": NaN}', '{"a": "\\ud83d"}', "[" * 5000)
        ),
    ],
)
def test_no_tool_runs_from_a_turn_that_is_not_whole(events: list[Json], words: str) -> None:
    turn, _ = run([begin(), *events])
    with pytest.raises(BrokenTurnError, match=words):
        turn.finish()


@pytest.mark.parametrize(
    "data",
    [
        "",
        "{",
        "[]",
        '"text"',
        '{"type": 3}',
        json.dumps(ev("content_block_start", index=0)),
        json.dumps(start(0) | {"index": "0"}),
        json.dumps(delta(7, "text_delta", text="x")),
        json.dumps(stop(7)),
        json.dumps(ev("message_start", message=3)),
        json.dumps(ev("message_delta", delta={"stop_reason": 3})),
    ],
)
def test_an_event_that_cannot_be_read_breaks_the_turn(data: str) -> None:
    with pytest.raises(BrokenTurnError, match=r"found .*, expected"):
        ModelTurn("c1", "m").feed("message", data)


def test_a_delta_must_hold_the_text_it_promises() -> None:
    with pytest.raises(BrokenTurnError, match="found None as text of a text_delta"):
        run([start(0, type="text", text=""), delta(0, "text_delta")])


@pytest.mark.parametrize(
    ("name", "data", "body"),
    [
        ("error", '{"type": "error", "error": {}}', {"type": "error", "error": {}}),
        ("message", '{"type": "error", "error": {}}', {"type": "error", "error": {}}),
        ("error", '{"code": 500, "type": "server_error"}', {"code": 500, "type": "server_error"}),
        ("error", "out of memory", "out of memory"),
    ],
)
def test_an_error_event_ends_the_turn_however_it_is_written(
    name: str, data: str, body: object
) -> None:
    with pytest.raises(ErrorEventError) as caught:
        ModelTurn("c1", "m").feed(name, data)
    assert caught.value.body == body


def test_a_server_that_names_no_model_and_no_counts_is_fine() -> None:
    events = [ev("message_start", message={"model": None}), start(0, type="text", text="x")]
    final = finished([*events, ev("message_delta", delta={"stop_reason": "end_turn"}), end("x")[1]])
    assert (final.model, final.tokens) == ("asked", Tokens())


def test_a_turn_has_begun_with_its_first_block() -> None:
    turn, _ = run([begin(), ev("ping")])
    assert not turn.has_begun
    turn.feed("content_block_start", json.dumps(start(0, type="text", text="")))
    assert turn.has_begun
    assert not turn.is_complete


def test_an_endless_turn_is_cut_and_says_what_would_let_it_through() -> None:
    turn = ModelTurn("c1", "m", most=1000)
    turn.feed("content_block_start", json.dumps(start(0, type="text", text="")))
    piece = json.dumps(delta(0, "text_delta", text="x" * 450))
    turn.feed("content_block_delta", piece)
    with pytest.raises(BrokenTurnError, match=r"more than 1,000 .* \(--max-answer-bytes\)"):
        turn.feed("content_block_delta", piece)
