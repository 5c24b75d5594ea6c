"""From words and variables to settings, or to one line that says what is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from config.command_line import Shown, UsageError, read_command_line
from config.options import ModelOptions, RetryOptions
from config.prices import Price
from config.settings import Settings
from config.values import SinkWish
from config.variables import FLAGS, VARIABLES
from pipeline.plans import SHARED

ROOT = Path(__file__).parents[2]
URL = "http://localhost:3001/sse"
ELSEWHERE = (
    "serve_port",
    "oauth_redirect_port",
    "oauth_timeout",
    "max_prompt_chars",
    "list_pause",
    "shutdown_timeout",
)
"""Numbers that are in no group of options that this file looks at."""
SECRET = "s3cr3t-value"
SCRIPT = """
import os, sys
from pathlib import Path
from config.command_line import Shown, UsageError, read_command_line
try:
    read_command_line(sys.argv[1:], os.environ, Path(".env"))
except UsageError as exc:
    print(exc, file=sys.stderr)
    sys.exit(2)
except Shown as exc:
    print(exc, end="")
heavy = {"aiohttp", "reactivex", "anthropic", "prompt_toolkit", "loguru"} & set(sys.modules)
assert not heavy, heavy
"""


def read(*argv: str, dotenv: Path | None = None, **environ: str) -> Settings:
    return read_command_line(argv, environ, dotenv)


_NAMES = (
    "tools, call, resources, templates, read, prompts, prompt, skills, complete, serve, replay, "
    "resume, fork, show, diff, lint, migrate, redact, outbox"
)
_LIVE = (
    "chat, tools, call, resources, templates, read, prompts, prompt, skills, complete, resume, fork"
)


def refuse(*argv: str, dotenv: Path | None = None, **environ: str) -> str:
    with pytest.raises(UsageError) as caught:
        read_command_line(argv, environ, dotenv)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.__cause__ is None or SECRET not in repr(caught.value.__cause__)
    return text


def run(*argv: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if key not in VARIABLES.values()}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *argv],
        cwd=cwd,
        env={**clean, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# --- what is read ---------------------------------------------------------------------------


def test_with_nothing_set_everything_is_inside() -> None:
    settings = read()
    assert (settings.command, settings.servers, settings.model) == ("chat", (), "direct")
    assert settings.sinks == (SinkWish(kind="console"),)
    assert settings.retry == RetryOptions()
    assert settings.model_options == ModelOptions()


@pytest.mark.parametrize(
    "argv",
    [
        ["--server", URL, "call", "echo", "message=hi"],
        ["call", "--server", URL, "echo", "message=hi"],
        ["call", "echo", "--server", URL, "message=hi"],
        ["call", "echo", "message=hi", "--server", URL],
        ["--server", URL, "--", "call", "echo", "message=hi"],
    ],
)
def test_options_may_stand_anywhere(argv: list[str]) -> None:
    settings = read(*argv)
    assert (settings.command, settings.call_tool) == ("call", "echo")
    assert settings.call_arguments == ("message=hi",)
    assert settings.servers == (URL,)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), ""),
        (("b=-3",), "b=-3"),
        (("text=two words", "n:=null"), "'text=two words' n:=null"),
        (("text=it's",), "'text=it'\"'\"'s'"),
        (('{"a": 1}',), '{"a": 1}'),
        (("--", "--b=-3"), "--b=-3"),
    ],
)
def test_arguments_of_a_call_are_kept_to_the_letter(words: tuple[str, ...], text: str) -> None:
    settings = read("call", "add", *words)
    assert settings.call_text == text


@pytest.mark.parametrize("dashes", [["tools", "--server", URL], ["--server", URL, "tools"]])
def test_tools_takes_options_before_and_after(dashes: list[str]) -> None:
    assert (read(*dashes).command, read(*dashes).servers) == ("tools", (URL,))


def test_json_is_short_for_what_the_command_can_write() -> None:
    assert read("--json").output_format == "stream-json"
    assert read("tools", "--json").output_format == "json"
    assert read("call", "echo", "--json").output_format == "json"
    assert read("--json", RXMCP_OUTPUT_FORMAT="text").output_format == "stream-json"


def test_repeatable_flags_collect_and_others_take_the_last() -> None:
    settings = read(
        *("--sink", "console", "--sink", "jsonl=run.jsonl", "--sink", "webhook=https://h/x"),
        *("--model", "a", "--model", "b", "--allowed-tools", "a*, b", "--allowed-tools", "c"),
        *("-H", "A: 1", "-H", "A:2", "--disallowed-tools", "d"),
    )
    assert settings.sinks == (
        SinkWish(kind="console"),
        SinkWish(kind="jsonl", target="run.jsonl"),
        SinkWish(kind="webhook", target="https://h/x"),
    )
    assert settings.model == "b"
    assert (settings.allowed_tools, settings.disallowed_tools) == (("a*", "b", "c"), ("d",))
    assert [(h.name, h.value.get_secret_value()) for h in settings.headers] == [
        ("A", "1"),
        ("A", "2"),
    ]


def test_serve_has_options_of_its_own() -> None:
    settings = read("serve", "--host", "::", "--port=0", "--folder", "/f", "--api-key", SECRET)
    assert settings.command == "serve"
    assert (settings.serve_host, settings.serve_port, settings.serve_folder) == ("::", 0, "/f")
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == SECRET


def test_each_field_of_a_group_comes_from_its_own_flag_or_variable() -> None:
    """Every numeric setting gets a value of its own; all of them turn up in the groups."""
    numbers = {
        field: 100 + place
        for place, field in enumerate(VARIABLES)
        if Settings.model_fields[field].annotation in (int, float)
        and field not in (*SHARED, *ELSEWHERE)
    } | {"mailbox_low": 1, "retry_first_delay": 2, "webhook_first_delay": 3}
    numbers |= {"max_event_bytes": 5000, "max_body_bytes": 6000, "max_answer_bytes": 7000}
    numbers |= {"connect_timeout": 7, "retry_max_wish": 8}
    variables = {VARIABLES[field]: str(value) for field, value in numbers.items()}
    settings = read(**variables, RXMCP_SHUTDOWN_TIMEOUT="900")
    groups = (
        *(settings.retry, settings.heartbeat, settings.mailbox, settings.stream, settings.post),
        *(settings.model_options, settings.webhook, settings.recording),
    )
    dumped = [value for group in groups for value in group.model_dump().values()]
    found = [value for value in dumped if isinstance(value, int | float)]
    assert sorted(found) == sorted(numbers.values())
    assert settings.retry.total == numbers["retry_total"]
    assert settings.model_options.silence == numbers["model_silence"]
    assert settings.webhook.drain == numbers["webhook_drain"]


def test_what_a_webhook_has_at_the_end_is_a_part_of_the_end() -> None:
    assert read().webhook.drain == 5
    assert read("--shutdown-timeout", "4").webhook.drain == 2
    assert read("--shutdown-timeout", "60", "--webhook-drain", "30").webhook.drain == 30


@pytest.mark.parametrize(
    ("argv", "level"),
    [
        ([], "WARNING"),
        (["-v"], "INFO"),
        (["-q"], "ERROR"),
        (["-v", "--log-level", "debug"], "DEBUG"),
    ],
)
def test_the_log_level_follows_how_much_is_wanted(argv: list[str], level: str) -> None:
    assert read(*argv).logs_from == level


# --- precedence -----------------------------------------------------------------------------


def test_flags_beat_the_environment_which_beats_the_file_which_beats_defaults(
    tmp_path: Path,
) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text(
        "RXMCP_SILENCE=1\nRXMCP_CALL_TIMEOUT=1\nRXMCP_START_TIMEOUT='1' # why\n"
        "export MCP_SERVER_URL=http://file/sse\nOTHER\nRXMCP_SINK=jsonl=f\n"
    )
    settings = read(
        *("--silence", "3", "--sink", "console"),
        dotenv=dotenv,
        RXMCP_SILENCE="2",
        RXMCP_CALL_TIMEOUT="2",
        RXMCP_SINK="jsonl=a, webhook=http://h/",
    )
    assert settings.silence == 3
    assert settings.call_timeout == 2
    assert settings.start_timeout == 1
    assert settings.connect_timeout == 10
    assert settings.servers == ("http://file/sse",)
    assert settings.sinks == (SinkWish(kind="console"),)


def test_lists_in_variables_have_commas_and_headers_lines() -> None:
    settings = read(
        MCP_SERVER_URL=f"{URL}, http://b/sse,",
        RXMCP_SINK="console,jsonl=x",
        RXMCP_ALLOWED_TOOLS="a,b*",
        RXMCP_HEADER="A: 1, 2\nB: 3\n",
    )
    assert settings.servers == (URL, "http://b/sse")
    assert settings.sinks == (SinkWish(kind="console"), SinkWish(kind="jsonl", target="x"))
    assert settings.allowed_tools == ("a", "b*")
    assert [h.name for h in settings.headers] == ["A", "B"]
    assert settings.headers[0].value.get_secret_value() == "1, 2"


def test_an_empty_variable_is_not_set() -> None:
    assert read(RXMCP_CALL_TIMEOUT="", MCP_SERVER_URL="", MCP_API_KEY="") == read()


def test_only_the_given_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RXMCP_SILENCE", "7")
    monkeypatch.setenv("silence", "8")
    assert read().silence == 45


def test_a_missing_dotenv_file_holds_nothing(tmp_path: Path) -> None:
    assert read(dotenv=tmp_path / "none") == read()


@pytest.mark.parametrize(
    "name", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"]
)
def test_a_way_to_claude_makes_claude_the_default(name: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"{name}={SECRET}\n")
    for settings in (read(**{name: SECRET}), read(dotenv=tmp_path / ".env")):
        assert settings.model == "claude-sonnet-5-5"
        assert SECRET not in repr(settings)
    assert read("--model", "direct", **{name: SECRET}).model == "direct"
    assert read(**{name: ""}).model == "direct"


def test_no_color_makes_color_never_unless_it_is_asked_for() -> None:
    assert read(NO_COLOR="1").color == "never"
    assert read(NO_COLOR="").color == "auto"
    assert read("--color", "always", NO_COLOR="1").color == "always"


def test_a_variable_that_looks_like_ours_is_told_of() -> None:
    settings = read(RXMCP_SILENC="1", RXMCP_ZZZ="1", OTHER="1", RXMCP_SILENCE="5")
    assert settings.notices == (
        "the variable 'RXMCP_SILENC' means nothing here; did you mean RXMCP_SILENCE?",
        "the variable 'RXMCP_ZZZ' means nothing here",
    )


# --- secrets --------------------------------------------------------------------------------


def test_settings_show_no_secret_and_know_them_all() -> None:
    settings = read(
        *("--server", f"http://h/sse?token={SECRET}1", "-H", f"Authorization: Bearer {SECRET}2"),
        *("--sink", f"webhook=https://hooks/?k={SECRET}3", "--sink", "jsonl=out"),
        MCP_API_KEY=f" {SECRET}4 ",
        RXMCP_WEBHOOK_SECRET=f"{SECRET}5",
    )
    assert SECRET not in repr(settings)
    assert settings.secrets() >= {f"{SECRET}{number}" for number in range(1, 6)}
    assert "out" not in settings.secrets()


def test_what_claude_is_told_is_secret_too_but_for_where_it_is() -> None:
    settings = read(
        ANTHROPIC_API_KEY=f"{SECRET}1",
        ANTHROPIC_AUTH_TOKEN=f"{SECRET}2",
        ANTHROPIC_BASE_URL=f"https://h/v1?key={SECRET}3",
        ANTHROPIC_CUSTOM_HEADERS=f"X-One: {SECRET}4\nX-Two: {SECRET}5",
    )
    assert list(settings.secrets())[:5] == [f"{SECRET}{number}" for number in (1, 2, 3, 4, 5)]
    assert SECRET not in repr(settings)
    assert list(read(ANTHROPIC_BASE_URL="http://[odd").secrets()) == []


def test_the_same_settings_name_their_secrets_in_the_same_order() -> None:
    words = ("--server", f"http://h/?b={SECRET}5&a={SECRET}4", "-H", f"X: b {SECRET}3")
    found = list(read(*words, MCP_API_KEY=f"{SECRET}1", ANTHROPIC_API_KEY=f"{SECRET}2").secrets())
    assert found == [
        f"{SECRET}1", f"{SECRET}2", f"b {SECRET}3", f"{SECRET}3", f"{SECRET}4", f"{SECRET}5",
    ]  # fmt: skip


def test_what_variables_of_secret_env_hold_is_read_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TWO=second-one\n", "utf-8")
    words = ("redact", "x.jsonl", "--out", "y.jsonl", "--secret-env", "ONE", "--secret-env=TWO")
    settings = read(*words, "--pattern", "a|b", dotenv=tmp_path / ".env", ONE="first-one")
    assert [each.get_secret_value() for each in settings.named_secrets] == [
        "first-one",
        "second-one",
    ]
    assert (settings.secret_env, settings.pattern) == (("ONE", "TWO"), ("a|b",))
    assert "first-one" not in repr(settings)
    assert "a|b" not in repr(settings)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "redact needs --out PATH, the new file; the old one stays as it is"),
        (["--secret-env", "NO"], "--secret-env: the variable 'NO' is not set, or empty"),
        (["--secret-env", "EMPTY"], "--secret-env: the variable 'EMPTY' is not set, or empty"),
        (
            ["--secret-env", "SHORT"],
            "--secret-env: 'SHORT' holds 3 characters, expected 4 or more: a shorter word "
            "stands in many places",
        ),
        (
            ["--pattern", "(secret"],
            "--pattern: found no regular expression as Python has them: missing ), unterminated "
            "subpattern",
        ),
        (
            ["--pattern", "a" * 1001],
            "--pattern: found a pattern of 1001 characters, expected 1000 at most",
        ),
        (
            ["--pattern", "a{99999999999}"],
            "--pattern: found no regular expression as Python has them: it is too large",
        ),
    ],
)
def test_what_redact_cannot_look_for_is_told_and_not_quoted(words: list[str], text: str) -> None:
    out = [] if not words else ["--out", "y.jsonl"]
    with pytest.raises(UsageError) as caught:
        read("redact", "x.jsonl", *out, *words, EMPTY="", SHORT="abc")
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("argv", "environ"),
    [
        (["-H", SECRET], {}),
        (["-H", f"Bad Name: {SECRET}"], {}),
        (["-H", f"Authorization: {SECRET}\n"], {}),
        (["--server", f"http://user:{SECRET}@h/"], {}),
        (["--server", f"ftp://user:{SECRET}@h/{SECRET}"], {}),
        (["--server", f"http://h:99999/{SECRET}"], {}),
        (["--server", f"http://[h/{SECRET}"], {}),
        (["--server", f"http://h:p{SECRET}@/"], {}),
        (["--server", f"http:///{SECRET}"], {}),
        (["--server", f"http://h:{SECRET}"], {}),
        (["--server", f"h?token={SECRET}"], {}),
        (["--server", f"http://h/a b{SECRET}"], {}),
        (["--server", f"http://h/?t={SECRET}", "--server", f"http://h/?t={SECRET}"], {}),
        (["--sink", f"webhook=h/{SECRET}"], {}),
        (["--sink", f"webhook=http://h/{SECRET}", "--sink", f"webhook=http://h/{SECRET}"], {}),
        (["serve", "--api-key", f"{SECRET} x"], {}),
        ([], {"MCP_API_KEY": f"{SECRET} ü"}),
    ],
)
def test_no_error_shows_a_secret(argv: list[str], environ: dict[str, str]) -> None:
    assert SECRET not in refuse(*argv, **environ)


# --- what is refused ------------------------------------------------------------------------

KINDS = "expected console, jsonl=PATH or webhook=URL"
SIZE = "number of bytes, or one with a unit: KiB, MiB, GiB (1024), kB, MB, GB (1000)"


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--sever", URL], "unknown option '--sever'; did you mean '--server'?"),
        (["--silence", "abc"], "--silence: found 'abc', expected a number of seconds"),
        (["--silence", "0"], "--silence: found '0', expected a number of seconds above 0"),
        (["--silence", "inf"], "--silence: found 'inf', expected a finite number of seconds"),
        (["--retry-factor", "x"], "--retry-factor: found 'x', expected a number"),
        (["--max-event-bytes", "1KiB/s"], "--max-event-bytes: found '1KiB/s', expected a " + SIZE),
        (["--max-body-bytes", "never"], "--max-body-bytes: found 'never', expected a " + SIZE),
        (
            ["--max-body-bytes", "1kB"],
            "--max-body-bytes: found '1000', expected 1024 bytes or more",
        ),
        (["--max-tools", "0"], "--max-tools: found '0', expected 1 or more"),
        (["--max-turns", "1.5"], "--max-turns: found '1.5', expected a whole number"),
        (["--max-turns", "0"], "--max-turns: found '0', expected 1 or more"),
        (["serve", "--port", "65536"], "--port: found '65536', expected 65535 or less"),
        (
            ["--dialect", "x"],
            "--dialect: found 'x', expected 'auto', 'seed', 'sse', 'http' or 'stdio'",
        ),
        (["--sink", "foo"], f"--sink: unknown sink 'foo'; {KINDS}"),
        (["--sink", "foo=bar"], f"--sink: unknown sink 'foo'; {KINDS}"),
        (["--sink", "jsonl"], "--sink: sink 'jsonl' needs a path, expected jsonl=PATH"),
        (["--sink", "jsonl="], "--sink: sink 'jsonl' needs a path, expected jsonl=PATH"),
        (["--sink", "webhook"], "--sink: sink 'webhook' needs an address, expected webhook=URL"),
        (["--sink", "console=x"], "--sink: sink 'console' takes no value, found 'x'"),
        (
            ["--sink", "webhook=ftp://h"],
            "--sink: found 'ftp://h' as the address of the webhook, expected http://… or https://…",
        ),
        (["--sink", "jsonl=a", "--sink", "jsonl=a"], "--sink: the same sink was given twice"),
        (
            ["--server", "localhost:3001"],
            "--server: found 'localhost:3001' as the address of the server, "
            "expected http://… or https://…",
        ),
        (
            ["--server", "http://:80/x"],
            "--server: found 'http://:80' as the address of the server, "
            "expected http(s)://HOST[:PORT]/…",
        ),
        (
            ["--server", "http://h:0/x"],
            "--server: found 'http://h:0' as the address of the server, "
            "expected http(s)://HOST[:PORT]/…",
        ),
        (
            ["--server", "http://h/a b"],
            "--server: the address of the server holds ' ', which no URL can hold",
        ),
        (["--server", URL, "--server", URL], "--server: the same server was given twice"),
        (["-H", "x"], "-H: found no ':' in the header, expected 'Name: value'"),
        (
            ["-H", "a b: x"],
            "-H: found 'a b' as a header's name, expected letters, digits or '-'",
        ),
        (
            ["--header", "A: é"],
            "--header: the value of header 'A' cannot be sent, "
            "expected printable ASCII on one line",
        ),
        (
            ["--price", "1/2/3"],
            "--price: found '1/2/3', expected INPUT/OUTPUT in USD per million tokens, e.g. 2/10",
        ),
        (
            ["--allowed-tools", "a,,b"],
            "--allowed-tools: found an empty pattern, "
            "expected a tool's name or a glob such as 'fs_*'",
        ),
        (["-p", " "], "-p: found an empty prompt, expected some text"),
        (["--prompt="], "--prompt: found an empty prompt, expected some text"),
        (["--model", ""], "--model: found '', expected some text"),
        (
            ["tols"],
            "unknown command 'tols'; expected " + _NAMES + ", or -p TEXT for a prompt",
        ),
        ([""], "unknown command ''; expected " + _NAMES + ", or -p TEXT for a prompt"),
        (["tools", "x"], "found 'x' after tools, expected nothing more"),
        (["call"], "call needs the name of a tool; the command tools lists them"),
        (
            ["call", "t", "x"],
            "call: found 'x' after the tool, expected key=value or a JSON object",
        ),
        (
            ["call", "t", "=x"],
            "call: found '=x' after the tool, expected key=value or a JSON object",
        ),
        (
            ["call", "t", "{}", "a=1"],
            "call: found a JSON object and more, expected one object or key=value …",
        ),
        (
            ["call", "t", "{a"],
            "call: the arguments are no JSON object: Expecting property name enclosed in double "
            "quotes: line 1 column 2 (char 1)",
        ),
        (["serve", "--json"], "option '--json' goes with " + _LIVE + ", not with serve"),
        (["tools", "-p", "x"], "option '-p' goes with chat, resume, fork, not with tools"),
        (["--port", "1"], "option '--port' goes with serve, not with chat"),
        (["serve", "--model", "x"], "option '--model' goes with " + _LIVE + ", not with serve"),
        (["--ignore-tool-error"], "option '--ignore-tool-error' goes with call, not with chat"),
        (
            ["--json", "--output-format", "json"],
            "found '--json' and '--output-format', expected one of them",
        ),
        (["-q", "--verbose"], "found '-q' and '--verbose', expected one of them"),
        (
            ["tools", "--output-format", "stream-json"],
            "--output-format: found 'stream-json', expected text or json for tools",
        ),
        (
            ["--call-timeout", "900"],
            "--call-timeout: found 900, expected no more than --call-timeout-max, which is 600; "
            "raise that, too",
        ),
        (
            ["--call-timeout-max", "30"],
            "--call-timeout-max: found 30, expected no less than --call-timeout, which is 60; "
            "lower that, too",
        ),
        (
            ["--call-timeout", "31", "--call-timeout-max", "30"],
            "--call-timeout: found 31, expected no more than --call-timeout-max, which is 30; "
            "raise that, too",
        ),
        (
            ["--webhook-drain", "8"],
            "--webhook-drain: found 8, expected no more than half of --shutdown-timeout, which is "
            "15; raise that, too",
        ),
        (
            ["--max-budget-usd", "1", "--model", "qwen3"],
            "--max-budget-usd: no price is known for 'qwen3', so the budget cannot be kept; "
            "give --price INPUT/OUTPUT (USD per million tokens)",
        ),
    ],
)
def test_what_is_wrong_is_told_in_one_line(argv: list[str], text: str) -> None:
    assert refuse(*argv) == text


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        ({"RXMCP_SILENCE": "x"}, "RXMCP_SILENCE: found 'x', expected a number of seconds"),
        ({"RXMCP_QUIET": "x"}, "RXMCP_QUIET: found 'x', expected true or false"),
        (
            {"RXMCP_MAILBOX_LOW": "600"},
            "RXMCP_MAILBOX_LOW: found 600, expected no more than --mailbox-high, which is 512; "
            "raise that, too",
        ),
        ({"RXMCP_SINK": "foo"}, f"RXMCP_SINK: unknown sink 'foo'; {KINDS}"),
        ({"RXMCP_MODEL": "\udcff"}, "RXMCP_MODEL: found bytes that are no UTF-8 text"),
        (
            {"MCP_API_KEY": "a b"},
            "MCP_API_KEY: found a key that no header can carry, "
            "expected printable ASCII without spaces",
        ),
    ],
)
def test_a_bad_variable_is_told_by_its_name(environ: dict[str, str], text: str) -> None:
    assert refuse(**environ) == text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"RXMCP_SILENCE=x\n", "RXMCP_SILENCE in {}: found 'x', expected a number of seconds"),
        (
            b"A=1\nMCP_API_KEY s3cr3t-value\n",
            "line 2 of {}: found no variable, expected NAME=value",
        ),
        (b"RXMCP_MODEL\n", "line 1 of {}: found no variable, expected NAME=value"),
        (b"A=\xff\n", "cannot read {}: it is no UTF-8 text"),
    ],
)
def test_a_bad_line_of_the_file_is_told_with_its_place(
    content: bytes, text: str, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_bytes(content)
    assert refuse(dotenv=tmp_path / ".env") == text.format(repr(str(tmp_path / ".env")))


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    assert refuse(dotenv=tmp_path) == f"cannot read {str(tmp_path)!r}: Is a directory"


def test_a_model_is_priced_by_the_table_or_by_hand() -> None:
    assert read("--max-budget-usd", "1", "--model", "claude-opus-5-5").model_price is not None
    settings = read("--max-budget-usd", "1", "--model", "qwen3", "--price", "$1.5 / 2")
    assert settings.model_price == Price.of(1.5, 2)
    assert read("--max-budget-usd", "1").model_price == Price.of(0, 0)
    assert read("tools", RXMCP_MAX_BUDGET_USD="1", RXMCP_MODEL="qwen3").command == "tools"


def test_settings_can_be_made_in_code_but_not_of_what_is_no_list() -> None:
    made = Settings(servers=(URL,), sinks=(SinkWish(kind="console"),), price=Price.of(1, 2))
    assert (made.servers, made.price) == ((URL,), Price.of(1, 2))
    assert Settings.model_validate({"servers": URL}).servers == (URL,)
    with pytest.raises(ValidationError, match="expected a list"):
        Settings.model_validate({"servers": 3})


# --- the whole way, and help ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "environ", "text"),
    [
        (["--sever", "x"], {}, "unknown option '--sever'; did you mean '--server'?\n"),
        ([], {"RXMCP_SINK": "x"}, f"RXMCP_SINK: unknown sink 'x'; {KINDS}\n"),
        (
            ["call", "t", "\udcff"],
            {},
            "found '\\udcff', which holds bytes that are no UTF-8 text\n",
        ),
    ],
)
def test_a_wrong_word_is_one_line_on_standard_error_and_status_2(
    argv: list[str], environ: dict[str, str], text: str, tmp_path: Path
) -> None:
    done = run(*argv, cwd=tmp_path, **environ)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", text)


def test_help_comes_quickly_without_the_heavy_libraries(tmp_path: Path) -> None:
    done = run("--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("rxmcp")


def page(*argv: str) -> str:
    with pytest.raises(Shown) as caught:
        read_command_line(argv, {}, None)
    return str(caught.value)


def test_the_whole_help_page_names_every_flag_and_variable_and_fits_80_columns() -> None:
    text = page("--help-all")
    for flag in FLAGS.values():
        assert f" {flag.name} {flag.metavar}".rstrip() in text
    for field, variable in VARIABLES.items():
        assert field in FLAGS or f"  {variable} " in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_help_page_has_what_one_needs_and_leads_to_the_rest() -> None:
    text = page("-h")
    for flag in FLAGS.values():
        assert (f" {flag.name} {flag.metavar}".rstrip() in text) is not flag.is_detail
    assert "--help-all shows them all" in " ".join(text.split())
    for name in ("--json", "--version", "--help", "-q, ", "-v, ", "-p, ", "-H, ", "130"):
        assert name in text
    for variable in ("MCP_SERVER_URL", "MCP_API_KEY", "ANTHROPIC_BASE_URL", "RXMCP_SERVE_PORT"):
        assert variable in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("command", "has", "lacks"),
    [
        ("tools", "--json", "--port"),
        ("call", "--ignore-tool-error", "--prompt"),
        ("serve", "--port", "--server"),
        ("read", "--elicit", "--port"),
        ("resume", "--silence", "--ignore-tool-error"),
    ],
)
def test_a_command_has_a_page_of_its_own(command: str, has: str, lacks: str) -> None:
    text = page(command, "--help")
    assert has in text
    assert lacks not in text.split("Variables:")[0]


def test_the_whole_page_of_a_command_has_its_details_and_no_others() -> None:
    assert "--max-pages" in page("tools", "--help-all")
    assert "--max-pages" not in page("tools", "--help")
    assert "--max-pages" not in page("serve", "--help-all")
    assert "shows them all" not in page("serve", "--help"), "there is no more"


def test_the_version_is_one_line() -> None:
    assert page("--version").startswith("rxmcp ")
    assert page("--version").count("\n") == 1


def test_the_version_of_a_bare_checkout_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    assert page("--version") == "rxmcp from a checkout\n"


# --- the example file -----------------------------------------------------------------------


def test_the_example_file_lists_every_variable_with_its_default(tmp_path: Path) -> None:
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    said = dict(line[1:].split("=", 1) for line in lines if line[:1] == "#" and line[1:2] != " ")
    claude = {"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"}
    assert set(said) == set(VARIABLES.values()) | claude
    dotenv = tmp_path / ".env"
    dotenv.write_text("\n".join(f"{k}={v}" for k, v in said.items() if k != "MCP_SERVER_URL"))
    assert read("--log-level=warning", dotenv=dotenv) == read("--log-level=warning")
