import pytest
import reactivex as rx
from reactivex import operators as ops

from operators.check_against import DivergedError, check_against
from operators.route import Parcel
from pipeline.core.codec import Entry
from pipeline.core.commands import CallModel, Item
from pipeline.core.events import AnswerDelta, InputEnded, Problem


def parcels(*items: Item) -> list[Parcel]:
    return [Parcel(entry, ()) for entry in entries(*items)]


def entries(*items: Item) -> list[Entry]:
    return [Entry(seq, "now", item) for seq, item in enumerate(items, 1)]


A, B, C = AnswerDelta(text="a"), AnswerDelta(text="b"), InputEnded()


def checked(now: list[Item], recorded: list[Item]) -> list[Item]:
    stage = check_against(iter(entries(*recorded)))
    seen = rx.of(*parcels(*now)).pipe(stage, ops.map(lambda parcel: parcel.entry.item))
    return seen.pipe(ops.to_list()).run()


def test_what_is_as_recorded_passes() -> None:
    assert checked([A, B, C], [A, B, C]) == [A, B, C]


def test_a_recording_that_ends_early_has_nothing_to_say_about_the_rest() -> None:
    assert checked([A, B, C], [A]) == [A, B, C]


def test_the_first_difference_ends_it_with_its_place() -> None:
    with pytest.raises(DivergedError, match='text: recorded "b", now "a"') as caught:
        checked([A, A, C], [A, B, C])
    assert (caught.value.seq, caught.value.recorded, caught.value.now) == (2, B, A)


def test_another_kind_is_shown_whole() -> None:
    with pytest.raises(DivergedError) as caught:
        checked([C], [Problem(where="x", detail="y")])
    assert str(caught.value).splitlines() == [
        'recorded: {"kind":"problem","where":"x","detail":"y"}',
        'now:      {"kind":"input_ended"}',
    ]


def test_of_a_model_call_only_what_is_new_in_it_is_compared() -> None:
    said = ({"role": "user", "content": []}, {"role": "assistant", "content": []})
    now = CallModel(call="model:1", messages=said, since=1)
    stand_in = CallModel(call="model:1", messages=({}, said[1]), since=1)
    assert checked([now], [stand_in]) == [now]


def test_a_recording_that_cannot_be_read_ends_the_stream() -> None:
    def broken():
        yield entries(A)[0]
        raise ValueError("line 2 is torn")

    with pytest.raises(ValueError, match="line 2"):
        rx.of(*parcels(A, B)).pipe(check_against(broken())).run()
