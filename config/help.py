"""The help text, made from the same table as the settings themselves. It fits 80 columns."""

from collections.abc import Iterable
from dataclasses import dataclass
from textwrap import wrap

from config.commands import ALL, LIVE, REQUESTS, Command
from config.fields.marks import OUTPUT, SCREEN, SIZE
from config.flags import Flag
from config.settings import Settings
from config.sizes import shown_size
from config.variables import FLAGS, PREFIX, VARIABLES

_WIDTH = 80
_COLUMN = 34
_USAGE_COLUMN = 40


@dataclass(frozen=True)
class CommandHelp:
    """What a command does, and what stands behind its name."""

    words: str
    text: str


COMMANDS: dict[Command, CommandHelp] = {
    "chat": CommandHelp("", "a chat, or a prompt per line of input"),
    "tools": CommandHelp("tools", "list the tools of all servers"),
    "call": CommandHelp("call TOOL key=value … | '{json}'", "call one tool"),
    "resources": CommandHelp("resources", "list what servers have to read, templates too"),
    "templates": CommandHelp("templates", "list addresses of resources with gaps to fill in"),
    "read": CommandHelp("read URI", "read one resource"),
    "prompts": CommandHelp("prompts", "list the prompts that servers have"),
    "prompt": CommandHelp("prompt NAME key=value …", "show one prompt, filled in"),
    "skills": CommandHelp("skills", "list the skills that servers have"),
    "complete": CommandHelp("complete NAME|TEMPLATE key=START", "how an argument may go on"),
    "serve": CommandHelp("serve", "run the small server that is inside"),
    "replay": CommandHelp("replay FILE", "run a recording again, offline"),
    "resume": CommandHelp("resume FILE", "go on where a recorded run stopped"),
    "fork": CommandHelp("fork FILE --at N", "go another way from event N of a recording"),
    "show": CommandHelp("show FILE", "read a recording as a person wants to"),
    "diff": CommandHelp("diff FILE FILE", "the first event in which two recordings differ"),
    "lint": CommandHelp("lint FILE", "find secrets, gaps and loose ends in a recording"),
    "migrate": CommandHelp("migrate FILE --out NEW", "write an old recording in today's format"),
    "redact": CommandHelp("redact FILE --out NEW", "write a recording without its secrets"),
    "outbox": CommandHelp("outbox list|send|drop", "messages that webhooks did not take"),
}
"""Every command."""

EXTRAS: dict[str, tuple[Flag, str]] = {
    "json": (
        Flag(OUTPUT, name="--json", commands=LIVE),
        "short for --output-format stream-json; for json with commands that ask for one thing",
    ),
    "help": (
        Flag(SCREEN, name="--help", short="-h", commands=ALL),
        "this text; after a command, on it",
    ),
    "help_all": (
        Flag(SCREEN, name="--help-all", commands=ALL),
        "the same with every option: limits, and what is seldom tuned",
    ),
    "version": (Flag(SCREEN, name="--version", commands=ALL), "the version"),
}
"""Flags that are no settings of their own."""

EXIT_STATUS = (
    (0, "done"),
    (1, "the run failed for a reason not below"),
    (2, "usage: a flag, a value or a file is not what it should be"),
    (3, "authorization refused"),
    (4, "no connection to a server"),
    (5, "a tool answered with an error (call)"),
    (6, "a replay, or a recording, differs from the other (replay, diff)"),
    (7, "the model failed"),
    (8, "a limit was reached (turns, calls, money, time)"),
    (130, "interrupted"),
)

_EXAMPLES = (
    ("", "talk to what is inside"),
    ("--server http://localhost:3001/sse tools", ""),
    ("call echo message='hello there'", ""),
    ('call add \'{"a": 1, "b": -3}\'', ""),
    ("read demo://resource/1 > file", ""),
    ('-p "What is in this file?" < notes.txt', ""),
    ("--sink console --sink jsonl=run.jsonl", ""),
    ("replay run.jsonl --check", ""),
)

_WORDS = (
    "Words after TOOL are its arguments: key=value, or one JSON object. After -- nothing is an "
    "option."
)
_SERVER_FIRST = (
    "Where several servers could be meant, a first word @SERVER says which: read @docs URI."
)
_MORE = (
    "These are the options that one needs. --help-all shows them all: limits, and what is seldom "
    "tuned; after a command, those that go with it."
)
_LIVE_REPLAY = (
    "--against live gives the recorded prompts to the real servers and model: it really calls "
    "tools. With it go all options of chat for servers, the model and patience (--help lists "
    "them); what is not set is as in the recording."
)
_NOTES = (
    "Each option but -p and --json has a variable: --call-timeout has RXMCP_CALL_TIMEOUT, and so "
    "on; where it is another, [brackets] show it next to the default. A flag beats its variable, a "
    "variable beats the file .env, and that beats the default. In a variable, a list has commas "
    "(RXMCP_HEADER: one header a line). An empty variable counts as unset; .env.example lists them."
)
_VARIABLES = (
    ("MCP_API_KEY", "sent to every server, never shown"),
    ("RXMCP_OAUTH_CLIENT_SECRET", "goes with --oauth-client-id, never shown"),
    ("ANTHROPIC_API_KEY", "Claude's key, or ANTHROPIC_AUTH_TOKEN"),
    ("ANTHROPIC_BASE_URL", "another server that speaks Claude's API"),
)


def help_text(program: str, command: Command | None = None, *, has_details: bool = False) -> str:
    """The page of all commands, or of one; `has_details`: with every option.

    It ends with a newline.
    """
    names: list[Command] = list(COMMANDS) if command is None else [command]
    usage = [(_join(program, COMMANDS[name].words), COMMANDS[name].text) for name in names]
    lines = ["rxmcp, an MCP client that never hangs and loses nothing", ""]
    lines += ["Usage (options may stand anywhere):", *_table(usage, _USAGE_COLUMN)]
    if "call" in names:
        lines += ["", *wrap(_WORDS, _WIDTH)]
    if not set(names).isdisjoint(REQUESTS):
        lines += ["", *wrap(_SERVER_FIRST, _WIDTH)]
    if command == "replay":
        lines += ["", *wrap(_LIVE_REPLAY, _WIDTH)]
    if not has_details and any(
        flag.is_detail and _is_for(flag, command) for flag in FLAGS.values()
    ):
        lines += ["", *wrap(_MORE, _WIDTH)]
    for group, entries in _groups(command, has_details=has_details).items():
        lines += ["", f"{group}:", *_table(entries)]
    variables = (*_VARIABLES, *(_only_variables() if has_details else ()))
    lines += ["", "Variables:", *_table(variables), "", *wrap(_NOTES, _WIDTH)]
    if command is None:
        examples = [(_join(program, words), text) for words, text in _EXAMPLES]
        lines += ["", "Examples:", *_table(examples, _USAGE_COLUMN)]
    lines += ["", "Exit status:", *(f"  {code:>3}  {text}" for code, text in EXIT_STATUS)]
    return "\n".join(lines) + "\n"


def goes_with(flag: Flag, command: Command) -> bool:
    """May the flag be given to this command?"""
    return command in (flag.commands or LIVE)


def _groups(command: Command | None, *, has_details: bool) -> dict[str, list[tuple[str, str]]]:
    groups: dict[str, list[tuple[str, str]]] = {}
    told = [(flag, _text(field, flag)) for field, flag in FLAGS.items()]
    for flag, text in (*told, *EXTRAS.values()):
        is_wanted = has_details or not flag.is_detail
        if is_wanted and _is_for(flag, command):
            groups.setdefault(flag.group, []).append((_spelling(flag), text))
    return groups


def _is_for(flag: Flag, command: Command | None) -> bool:
    return command is None or goes_with(flag, command)


def _only_variables() -> list[tuple[str, str]]:
    """What has no flag, but for what `_VARIABLES` has already."""
    told = {name for name, _ in _VARIABLES}
    return [
        (variable, str(Settings.model_fields[field].description))
        for field, variable in VARIABLES.items()
        if field not in FLAGS and variable not in told
    ]


def _spelling(flag: Flag) -> str:
    short = f"{flag.short}, " if flag.short else "    "
    return _join(short + flag.name, flag.metavar)


def _text(field: str, flag: Flag) -> str:
    info = Settings.model_fields[field]
    variable = VARIABLES.get(field, "")
    usual = PREFIX + flag.name.removeprefix("--").replace("-", "_").upper()
    facts = (
        flag.default or _default(info.default, flag),
        variable if variable != usual else "",
        "repeatable" if flag.is_repeatable else "",
    )
    said = ", ".join(fact for fact in facts if fact)
    return f"{info.description} [{said}]" if said else str(info.description)


def _default(value: object, flag: Flag) -> str:
    """A default as the help text shows it, empty where it is nothing, no, or none."""
    if value is None or value is False or value in ("", ()):
        return ""
    if isinstance(value, tuple):
        return "console"
    if isinstance(value, int) and flag.metavar == SIZE:
        return shown_size(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _table(rows: Iterable[tuple[str, str]], column: int = _COLUMN) -> list[str]:
    """Two columns; what is too wide for the first has a line of its own."""
    lines: list[str] = []
    for left, right in rows:
        start = f"  {left}"
        if len(start) + 2 > column or not right:
            lines.append(start)
            start = ""
        for text in wrap(right, _WIDTH - column, break_on_hyphens=False):
            lines.append(f"{start:<{column}}{text}")
            start = ""
    return lines


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)
