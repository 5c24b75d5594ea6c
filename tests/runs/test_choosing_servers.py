"""Which servers a run has: those of the command line, of an earlier run, of configurations."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from config.mcp_entry import McpEntry
from pipeline.core.plan import ServerPlan
from pipeline.servers import ServersError, choose, configured, connect, server_plan
from pipeline.shell.process import Program
from pipeline.shell.targets import Target
from tests.support.in_process import settings_of
from tests.support.program import run

WEB = McpEntry("web", url="https://h.test/mcp?key=k1", headers={"A": "b"}, source="f.json")
TOOL = McpEntry("tool", transport="stdio", command="/opt/bin/tool", args=("--x",), source="f.json")
OURS = McpEntry("here", transport="stdio", command="x", source=".mcp.json")
ENTRIES = (WEB, TOOL)


def chosen(*argv: str, known: Sequence[ServerPlan] = (), entries: Any = ENTRIES) -> list[McpEntry]:
    found = choose(settings_of(*argv), entries, known, allow=lambda _: False)
    return list(found)


def test_all_that_are_configured_are_used() -> None:
    assert chosen() == [WEB, TOOL]
    assert chosen(entries=()) == []


def test_the_command_line_picks_by_name_and_adds_by_address() -> None:
    assert chosen("--server", "tool") == [TOOL]
    address = "http://127.0.0.1:1/sse"
    assert [entry.name for entry in chosen("--server", address, "--server", "web")] == [
        "localhost-1",
        "web",
    ]


def test_a_name_that_nobody_has_is_told_with_those_there_are() -> None:
    with pytest.raises(ServersError, match=r"found 'no', expected .* or one of web, tool"):
        chosen("--server", "no")
    with pytest.raises(ServersError, match=r"or a name \(none is configured\)"):
        chosen("--server", "no", entries=())


def test_a_run_that_goes_on_has_the_servers_it_had_with_todays_credentials() -> None:
    known = [server_plan(entry, settings_of()) for entry in ENTRIES]
    assert chosen(known=known) == [WEB, TOOL]
    other = ServerPlan(name="web", url="https://other.test/mcp")
    recorded = McpEntry("web", url="https://other.test/mcp", is_recorded=True)
    assert chosen(known=[other]) == [recorded]
    assert chosen(known=[ServerPlan(name="local", url="http://127.0.0.1:1/sse")]) == []


def test_a_program_that_is_not_configured_any_more_cannot_be_guessed() -> None:
    gone = ServerPlan(name="gone", url="", program="gone")
    with pytest.raises(ServersError, match="does not hold how to start 'gone'"):
        chosen(known=[gone])


def test_an_address_without_its_key_cannot_be_guessed() -> None:
    hidden = ServerPlan(name="h", url="https://h.test/[redacted:known:1]/sse")
    with pytest.raises(ServersError, match="does not hold the whole address of 'h'"):
        chosen(known=[hidden])


def test_programs_of_the_folders_own_file_are_started_only_if_allowed() -> None:
    with pytest.raises(ServersError, match=r"\.mcp\.json would start x; to allow that"):
        chosen(entries=[OURS])
    found = choose(settings_of(), [OURS], (), allow=lambda _: True)
    assert found == (OURS,)
    assert chosen("--server", "web", entries=[OURS, WEB]) == [WEB]


def test_who_names_the_folders_own_file_has_allowed_its_programs() -> None:
    named = settings_of("--mcp-config", ".mcp.json")
    assert choose(named, [OURS], (), allow=lambda _: False) == (OURS,)


@pytest.mark.parametrize(
    ("entry", "argv", "dialect"),
    [
        (TOOL, (), "stdio"),
        (WEB, (), "auto"),
        (WEB, ("--dialect", "http"), "http"),
        (McpEntry("w", transport="sse", url="http://h"), (), "sse"),
        (McpEntry("w", transport="sse", url="http://h"), ("--dialect", "http"), "http"),
    ],
)
def test_the_plan_says_what_a_server_speaks(
    entry: McpEntry, argv: Sequence[str], dialect: str
) -> None:
    assert server_plan(entry, settings_of(*argv)).dialect == dialect


def test_the_plan_holds_no_secret() -> None:
    assert server_plan(WEB, settings_of()).url == "https://h.test/mcp"
    tool = server_plan(TOOL, settings_of())
    assert (tool.program, tool.url) == ("tool", "")


def test_a_key_of_the_environment_goes_to_servers_of_the_command_line_only() -> None:
    settings = settings_of(env={"MCP_API_KEY": "k2"})
    ours = connect(McpEntry("a", url="http://h.test/mcp"), settings)
    theirs = connect(WEB, settings)
    assert isinstance(ours, Target)
    assert isinstance(theirs, Target)
    assert ours.headers == {"Authorization": "Bearer k2"}
    assert theirs.headers == {"A": "b"}


def test_a_header_of_the_command_line_goes_to_all_and_wins() -> None:
    target = connect(WEB, settings_of("-H", "A: c", "-H", "D: e"))
    assert isinstance(target, Target)
    assert target.headers == {"A": "c", "D": "e"}


def test_a_program_is_started_as_it_is_written() -> None:
    assert connect(TOOL, settings_of()) == Program("tool", "/opt/bin/tool", ("--x",), {}, None)


def test_an_address_that_is_none_is_told_with_its_file() -> None:
    with pytest.raises(ServersError, match=r"f\.json: server 'w' cannot be asked: found a URL"):
        connect(McpEntry("w", url="ftp://h", source="f.json"), settings_of())


def test_a_configuration_that_cannot_be_read_is_told() -> None:
    with pytest.raises(ServersError, match="--mcp-config: found nothing"):
        configured(settings_of("--mcp-config", "{}"), {}, Path())


async def test_a_strange_folder_starts_nothing(tmp_path: Path) -> None:
    config = '{"mcpServers": {"evil": {"command": "touch", "args": ["pwned"]}}}'
    (tmp_path / ".mcp.json").write_text(config)
    ended = await run("tools", cwd=tmp_path)
    assert ended.code == 2
    assert "! .mcp.json would start touch; to allow that, give --mcp-config .mcp.json" in ended.err
    assert not (tmp_path / "pwned").exists()
