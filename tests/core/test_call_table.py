from msgspec.structs import replace

from pipeline.core.call_table import Call, Calls, call_of, calls_of, posted_to
from tests.support.play import a_plan, a_tool

ONE = Call("c1", a_tool(), {}, state="posted", sends=1, messages=1)
AGAIN = replace(ONE, id="c2", sends=2, messages=2)
WAITING = Call("c3", a_tool(server="other"), {})
TABLE = Calls(a_plan("s", "other"), open={call.id: call for call in (ONE, AGAIN, WAITING)})


def test_each_sending_of_a_call_has_an_id_of_its_own() -> None:
    assert ONE.wire_id == "call:c1"
    assert AGAIN.wire_id == "call:c2~2"


def test_only_the_latest_message_of_a_call_is_known() -> None:
    assert call_of(TABLE, "call:c2~2") is AGAIN
    assert [call_of(TABLE, wire_id) for wire_id in ("call:c2", "c1", "call:c9", "")] == [None] * 4


def test_calls_are_told_apart_by_server_and_by_whether_they_are_on_the_way() -> None:
    assert calls_of(TABLE, "s") == [ONE, AGAIN]
    assert posted_to(TABLE, "other") == []
