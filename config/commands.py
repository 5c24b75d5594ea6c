"""The commands of the program, and which of them belong together."""

from typing import Literal, TypeAlias, get_args

Command: TypeAlias = Literal[
    "chat",
    "tools",
    "call",
    "resources",
    "templates",
    "read",
    "prompts",
    "prompt",
    "skills",
    "complete",
    "serve",
    "replay",
    "resume",
    "fork",
    "show",
    "diff",
    "lint",
    "migrate",
    "redact",
    "outbox",
]
"""`chat` is the one without a word."""

ALL: tuple[Command, ...] = get_args(Command)

OutboxAction: TypeAlias = Literal["list", "send", "drop"]
"""The words behind `outbox`."""

REQUESTS: tuple[Command, ...] = (
    "resources",
    "templates",
    "read",
    "prompts",
    "prompt",
    "skills",
    "complete",
)
"""Those that ask servers for something else than tools."""

ONE_THING: tuple[Command, ...] = ("tools", "call", *REQUESTS)
"""Those that ask for one thing, and so print one object as JSON."""

BEGUN: tuple[Command, ...] = ("chat", *ONE_THING)
"""Those that begin a run with servers."""

PROMPTED: tuple[Command, ...] = ("chat", "resume", "fork")
"""Those that take prompts."""

LIVE: tuple[Command, ...] = (*BEGUN, "resume", "fork")
"""Those that connect to servers: what a flag goes with that says nothing else."""

RUNS: tuple[Command, ...] = (*BEGUN, "replay", "resume", "fork")
"""Those whose results go to sinks."""

SENDERS: tuple[Command, ...] = (*RUNS, "outbox")
"""Those that send to webhooks."""
