"""Settings of what servers may ask of a person and the model."""

from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from config import values
from config.commands import LIVE
from config.fields.marks import ASKED, SECONDS, Fields, seconds
from config.flags import Flag

ServerLogLevel: TypeAlias = Literal[
    "debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"
]
"""As servers have them (MCP: server/utilities/logging)."""


class AskedFields(Fields):
    """Who answers when a server asks."""

    elicit: Annotated[
        Literal["auto", "never", "ask", "defaults"], Flag(ASKED, "WHO", commands=LIVE)
    ] = Field(
        default="auto",
        description="who fills in a server's forms: never, ask (you) or defaults (what the form "
        "proposes, and --answer); auto asks in a chat at a terminal",
    )
    answers: Annotated[
        tuple[str, ...],
        BeforeValidator(values.read_answers),
        Flag(ASKED, "NAME=VALUE", "--answer", is_repeatable=True, commands=LIVE),
    ] = Field(default=(), description="what goes into a field of that name, if nobody fills it in")
    sampling: Annotated[
        Literal["auto", "never", "ask", "always"], Flag(ASKED, "WHEN", commands=LIVE)
    ] = Field(
        default="auto",
        description="whether a server may ask your model: never, ask (you) or always; auto asks in "
        "a chat at a terminal",
    )
    roots: Annotated[
        tuple[str, ...],
        BeforeValidator(values.read_roots),
        Flag(ASKED, "DIR", "--root", is_repeatable=True, commands=LIVE),
    ] = Field(default=(), description="a folder that servers are told they may work in")
    changed_tools: Annotated[
        Literal["auto", "ask", "hold", "accept"], Flag(ASKED, "HOW", commands=LIVE)
    ] = Field(
        default="auto",
        description="a tool that says otherwise than it did: ask (you), hold (it is not used) or "
        "accept; auto asks in a chat at a terminal, and else holds",
    )
    tool_pins: Annotated[str, Flag(ASKED, "PATH|none")] = Field(
        default="",
        description="where it is kept what tools said; without it, rxmcp/tools.json in the folder "
        "for state",
    )
    approve: Annotated[
        tuple[str, ...],
        BeforeValidator(values.read_globs),
        Flag(ASKED, "NAME", variable=None, is_repeatable=True, commands=("tools",)),
    ] = Field(default=(), description="tools: approve what this tool says now; a glob, too")
    question_timeout: Annotated[float, Flag(ASKED, SECONDS, commands=LIVE)] = seconds(
        300.0, "seconds for you to answer a server's question"
    )
    server_log_level: Annotated[ServerLogLevel | None, Flag(ASKED, "LEVEL", commands=LIVE)] = Field(
        default=None, description="what servers are to log, from debug to emergency up"
    )
