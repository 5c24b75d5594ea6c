"""What a person may type beside prompts, and what it stands for."""

import pytest

from pipeline.core.events import Json, RequestSubmitted
from pipeline.core.slash import COMMANDS, SlashError, help_text, parse, request


def the(method: str, **params: object) -> RequestSubmitted:
    return RequestSubmitted(method=method, params=params)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("/resources", the("resources/list")),
        ("/templates", the("resources/templates/list")),
        ("/prompts", the("prompts/list")),
        ("  /prompts \n", the("prompts/list")),
        ("/read file:///a", the("resources/read", uri="file:///a")),
        ("/read 'a b'", the("resources/read", uri="a b")),
        ("/subscribe demo://x", the("resources/subscribe", uri="demo://x")),
        ("/unsubscribe demo://x", the("resources/unsubscribe", uri="demo://x")),
    ],
)
def test_a_command_of_a_chat_is_a_request(typed: str, meant: RequestSubmitted) -> None:
    assert parse(typed) == meant


@pytest.mark.parametrize(
    ("typed", "arguments"),
    [
        ("/prompt greet", {}),
        ("/prompt greet name=Ada mood=", {"name": "Ada", "mood": ""}),
        ("/prompt greet name='Ada Lovelace'", {"name": "Ada Lovelace"}),
        ("/prompt greet sum=1+1=2", {"sum": "1+1=2"}),
    ],
)
def test_a_prompt_typed_in_a_chat_goes_to_the_model(typed: str, arguments: Json) -> None:
    params = {"name": "greet", "arguments": arguments}
    assert parse(typed) == RequestSubmitted(method="prompts/get", params=params, into_chat=True)


def test_a_prompt_of_the_command_line_is_only_shown() -> None:
    assert request("prompt", ["greet"]).into_chat is False
    assert request("prompts", [], into_chat=True).into_chat is False, "and a list always is"


@pytest.mark.parametrize(
    ("typed", "params"),
    [
        (
            "/complete greet name=A",
            {
                "ref": {"type": "ref/prompt", "name": "greet"},
                "argument": {"name": "name", "value": "A"},
            },
        ),
        (
            "/complete demo://{id} id=",
            {
                "ref": {"type": "ref/resource", "uri": "demo://{id}"},
                "argument": {"name": "id", "value": ""},
            },
        ),
        (
            "/complete note:{id} id=4 lang=en",
            {
                "ref": {"type": "ref/resource", "uri": "note:{id}"},
                "argument": {"name": "id", "value": "4"},
                "context": {"arguments": {"lang": "en"}},
            },
        ),
    ],
)
def test_a_completion_says_of_what_and_what_is_known(typed: str, params: Json) -> None:
    assert parse(typed) == RequestSubmitted(method="completion/complete", params=params)


def test_a_first_word_with_an_at_sign_names_the_server() -> None:
    read = parse("/read @docs file:///a")
    assert read == RequestSubmitted(
        method="resources/read", params={"uri": "file:///a"}, server="docs"
    )
    assert request("prompts", ["@docs"]) == RequestSubmitted(method="prompts/list", server="docs")


@pytest.mark.parametrize(
    "typed",
    ["hello", "/", "/unknown a", "//read a", "read a", "a /read b", "", "/readme", "/Read a"],
)
def test_all_else_is_a_prompt(typed: str) -> None:
    assert parse(typed) is None


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("/read", "found '/read', expected /read URI"),
        ("/read a b", "found '/read a b', expected /read URI"),
        ("/resources now", "found '/resources now', expected /resources"),
        ("/prompt", "expected /prompt NAME [key=value …]"),
        ("/prompt greet Ada", "/prompt: found 'Ada', expected key=value"),
        ("/prompt greet =Ada", "/prompt: found '=Ada', expected key=value"),
        ("/complete greet", "expected /complete NAME|TEMPLATE key=START"),
        ("/complete greet name", "/complete: found 'name', expected key=value"),
        ("/read 'a", "No closing quotation"),
        ("/read @docs", "found '/read', expected /read URI"),
    ],
)
def test_words_that_do_not_fit_are_refused_with_what_was_expected(typed: str, words: str) -> None:
    with pytest.raises(SlashError) as caught:
        parse(typed)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "typed", ["/read " + "a " * 9999, "/prompt x " + "y" * 9999, "/read '" + "x" * 9999]
)
def test_a_refusal_is_no_longer_than_a_line(typed: str) -> None:
    with pytest.raises(SlashError) as caught:
        parse(typed)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_list_is_one(command: str) -> None:
    words = {
        "read": ["a"],
        "subscribe": ["a"],
        "unsubscribe": ["a"],
        "prompt": ["a"],
        "complete": ["a", "b=c"],
    }.get(command, [])
    assert parse(" ".join([f"/{command}", *words])) is not None
    assert f"/{command} " in help_text()


def test_the_command_line_is_answered_in_its_own_words() -> None:
    with pytest.raises(SlashError, match=r"^found 'read', expected read URI$"):
        request("read", [])
    with pytest.raises(SlashError, match=r"^prompt: found 'x', expected key=value$"):
        request("prompt", ["greet", "x"])
