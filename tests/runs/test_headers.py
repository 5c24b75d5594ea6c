"""The header of a recording: what ran and what it was told, and never a secret."""

import platform
import re
from importlib import metadata

import msgspec
import pytest

from pipeline.core.codec import FORMAT, decode_header, encode_header
from pipeline.core.plan import Plan
from pipeline.headers import new_header, public_settings, versions
from tests.support.in_process import settings_of

KEY = "sk-ant-api03-abcdefghijkl"
CANARY = "canary4711secret"
PATH_KEY = "MzQ1NjY3ODkwMTIzNDU2Nzg5"


def test_a_header_says_what_ran_where_and_under_which_plan() -> None:
    header = new_header(settings_of(), Plan(model="m"))
    assert (header.format, header.plan) == (FORMAT, Plan(model="m"))
    assert header.rxmcp == metadata.version("rxmcp")
    assert re.fullmatch(r"[0-9a-f]{16}", header.session)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", header.at)
    assert header.versions == versions()
    assert decode_header(encode_header(header)) == header
    assert new_header(settings_of()).session != header.session


def test_the_versions_are_those_of_what_shapes_a_run() -> None:
    found = versions()
    assert [*found] == ["python", "system", "reactivex", "aiohttp", "anthropic", "msgspec"]
    assert (found["python"], found["system"]) == (platform.python_version(), platform.system())
    assert found["msgspec"] == msgspec.__version__
    assert "0" not in found.values()


def test_nothing_set_is_nothing_told() -> None:
    assert public_settings(settings_of()) == {}
    assert public_settings(settings_of("--silence", "45", "--sink", "console")) == {}


def test_settings_are_told_by_name_wherever_they_were_said() -> None:
    settings = settings_of(
        *("--server", "http://127.0.0.1:3001/sse", "--sink", "jsonl=run.jsonl"),
        *("--call-timeout", "5", "--allowed-tools", "a*,b", "-q"),
        env={"RXMCP_MAILBOX_HIGH": "256"},
    )
    assert public_settings(settings) == {
        "servers": ["http://127.0.0.1:3001/sse"],
        "allowed_tools": ["a*", "b"],
        "sinks": [{"kind": "jsonl", "target": "run.jsonl"}],
        "call_timeout": 5.0,
        "mailbox_high": 256,
        "quiet": True,
    }


def test_what_the_recording_has_elsewhere_is_not_told_twice() -> None:
    assert public_settings(settings_of("-p", "hi", "--system-prompt", "Be brief.")) == {}
    assert public_settings(settings_of("call", "add", "a=1")) == {"command": "call"}
    odd = settings_of(env={"RXMCP_NO_SUCH": "x"})
    assert odd.notices
    assert public_settings(odd) == {}


def test_of_keys_and_headers_it_is_told_that_there_were_some() -> None:
    env = {"MCP_API_KEY": CANARY, "RXMCP_WEBHOOK_SECRET": f"whsec_{CANARY}"}
    settings = settings_of("-H", f"X-Org: {CANARY}", "-H", f"X-Two: Token {CANARY}", env=env)
    assert public_settings(settings) == {
        "headers": [
            {"name": "X-Org", "value": "**********"},
            {"name": "X-Two", "value": "**********"},
        ],
        "api_key": "**********",
        "webhook_secret": "**********",
    }


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (f"https://h.example/sse?key={CANARY}#{CANARY}", "https://h.example/sse"),
        (f"https://h.example/s/{PATH_KEY}/sse", "https://h.example/s/«secret»/sse"),
        (f"HTTPS://h.example/s/{PATH_KEY}/sse", "https://h.example/s/«secret»/sse"),
        (f"https://h.example/{KEY}/sse", "https://h.example/«secret»/sse"),
        (f"https://h.example/s/a%7E{PATH_KEY}/sse", "https://h.example/s/«secret»/sse"),
    ],
)
def test_urls_are_told_without_what_may_be_a_secret(url: str, told: str) -> None:
    settings = settings_of("--server", url, "--sink", f"webhook={url}")
    assert public_settings(settings) == {
        "servers": [told],
        "sinks": [{"kind": "webhook", "target": told}],
    }


def test_a_known_secret_is_hidden_wherever_it_was_said_too() -> None:
    settings = settings_of(
        *("-H", f"X-Org: {CANARY}", "--disallowed-tools", f"a-{CANARY}*"),
        *("--sink", f"jsonl=run-{KEY}.jsonl"),
    )
    told = public_settings(settings)
    assert told["disallowed_tools"] == ["a-«secret»*"]
    assert told["sinks"] == [{"kind": "jsonl", "target": "run-«secret».jsonl"}]


def test_a_configuration_that_was_given_as_it_is_is_hidden_whole() -> None:
    told = public_settings(settings_of("--sink", f'jsonl= {{"env":{{"X":"{CANARY}"}}}}'))
    assert told["sinks"] == [{"kind": "jsonl", "target": "«secret»"}]


def test_what_only_begins_like_a_url_is_hidden_whole() -> None:
    told = public_settings(settings_of("--sink", f"jsonl=http://:{CANARY}@"))
    assert told["sinks"] == [{"kind": "jsonl", "target": "«secret»"}]


def test_a_short_value_of_a_query_does_not_eat_into_other_words() -> None:
    told = public_settings(
        settings_of("--server", "http://h.example/sse?v=e", "--allowed-tools", "e")
    )
    assert told == {"servers": ["http://h.example/sse"], "allowed_tools": ["e"]}
