"""What the guard of a run knows: its settings' secrets, and those of its servers."""

import pytest

from pipeline.core.codec import Entry
from pipeline.core.commands import Post
from pipeline.core.events import PromptSubmitted
from pipeline.guards import make_guard
from pipeline.shell.process import Program
from pipeline.shell.targets import make_target
from tests.support.in_process import settings_of

TEXT = "a settings-key b header-value-1 c in-its-environment d production e query-key-22"


def prompt_behind(*argv: str) -> str:
    settings = settings_of(*argv, env={"MCP_API_KEY": "settings-key"})
    target = make_target(
        "far", "http://h/sse?k=query-key-22", extra_headers={"X-Own": "header-value-1"}
    )
    env = {"NODE_ENV": "production", "API_TOKEN": "x", "DB_PASSWORD": "in-its-environment"}
    guard = make_guard(settings, [target, Program(name="near", command="node", env=env)])
    (item,) = guard.inputs(PromptSubmitted(text=TEXT))
    assert isinstance(item, PromptSubmitted)
    url = guard.revealed(Entry(1, "t", Post(server="far", url=item.text, id="x", message={})))
    assert isinstance(url.item, Post)
    assert "query-key-22" in url.item.url
    return item.text


def test_the_secrets_of_settings_and_of_servers_are_known() -> None:
    assert prompt_behind() == (
        "a [redacted:known:1] b [redacted:known:2] c [redacted:known:4] d production "
        "e [redacted:known:3]"
    )


def test_nothing_is_known_where_that_is_wished() -> None:
    assert prompt_behind("--redact", "off") == TEXT


def test_a_proxy_of_the_environment_has_secrets_too_and_one_that_is_no_url_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("https_proxy", "http://me:proxy-password@proxy.corp:3128")
    monkeypatch.setenv("ftp_proxy", "http://[")
    (item,) = make_guard(settings_of(), []).inputs(PromptSubmitted(text="a proxy-password"))
    assert item == PromptSubmitted(text="a [redacted:known:1]")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--token", "tk-9f2a7c1e8b4d60357x", "x"], ["tk-9f2a7c1e8b4d60357x"]),
        (["--api-key=word-of-a-key-12"], ["word-of-a-key-12"]),
        (["-v", "--password", "word-of-mine", "--verbose"], ["word-of-mine"]),
        (["run", "sk-ant-1234567890abcdef"], ["sk-ant-1234567890abcdef"]),
        (["-y", "@scope/some-server-name", "--folder", "a-long-folder-name"], []),
    ],
)
def test_of_a_programs_words_those_are_secret_that_look_so(
    words: list[str], expected: list[str]
) -> None:
    guard = make_guard(settings_of(), [Program(name="near", command="node", args=words)])
    (item,) = guard.inputs(PromptSubmitted(text=" ".join(words)))
    assert isinstance(item, PromptSubmitted)
    assert item.text.count("[redacted:known:") == len(expected)
    assert not [word for word in expected if word in item.text]
