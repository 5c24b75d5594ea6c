"""A server on Python's `mcp` package that asks its client for things: `TRANSPORT PORT`.

A form and a sample for a tool, folders for another; a form for a prompt and for a resource.
"""

import sys
from typing import Annotated

from mcp.server import MCPServer
from mcp.server.mcpserver.context import Context
from mcp.server.mcpserver.resolve import Elicit, ListRoots, Resolve, Sample
from mcp_types import (
    Completion,
    CompletionArgument,
    CompletionContext,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
    ListRootsResult,
    PromptReference,
    ResourceTemplateReference,
    SamplingMessage,
    TextContent,
)
from pydantic import BaseModel, Field

server = MCPServer("asking")

NAME_WANTED = InputRequiredResult(
    input_requests={
        "name": ElicitRequest(
            params=ElicitRequestFormParams(
                message="Who is it for?",
                requested_schema={
                    "type": "object",
                    "properties": {"name": {"type": "string"}},
                    "required": ["name"],
                },
            )
        )
    },
    request_state="for whom",
)


class Stay(BaseModel):
    """What the hotel wants to know."""

    nights: int = Field(ge=1, le=30)
    with_breakfast: bool = True


def _stay(city: str) -> Elicit[Stay]:
    return Elicit(f"How long in {city}?", Stay)


def _slogan(city: str) -> Sample:
    text = TextContent(type="text", text=f"A slogan for {city}")
    return Sample(
        [SamplingMessage(role="user", content=text)], max_tokens=50, system_prompt="Be brief."
    )


def _roots() -> ListRoots:
    return ListRoots()


@server.tool()
def book(city: str, stay: Annotated[Stay, Resolve(_stay)]) -> str:
    """Book a room; the server asks for how long."""
    return f"{city}, {stay.nights} nights, breakfast: {stay.with_breakfast}"


@server.tool()
def advertise(city: str, slogan: Annotated[CreateMessageResult, Resolve(_slogan)]) -> str:
    """Advertise a city with words of the client's model."""
    assert isinstance(slogan.content, TextContent)
    return f"{city}: {slogan.content.text}"


@server.tool()
def folders(roots: Annotated[ListRootsResult, Resolve(_roots)]) -> str:
    """The folders that the client works in."""
    return ", ".join(str(root.uri) for root in roots.roots)


@server.prompt()
def letter(ctx: Context) -> str | InputRequiredResult:
    """A letter to somebody; the server asks to whom."""
    return f"Write to {name}." if (name := _name(ctx)) else NAME_WANTED


@server.resource("card://{occasion}")
def card(occasion: str, ctx: Context) -> str | InputRequiredResult:
    """A card for an occasion; the server asks for whom."""
    return f"{occasion}, {name}!" if (name := _name(ctx)) else NAME_WANTED


@server.completion()
async def complete(
    ref: PromptReference | ResourceTemplateReference,
    argument: CompletionArgument,
    context: CompletionContext | None,
) -> Completion:
    """How an occasion may go on."""
    known = ("christmas", "birthday")
    return Completion(values=[each for each in known if each.startswith(argument.value)])


def _name(ctx: Context) -> str:
    answer = (ctx.input_responses or {}).get("name")
    if answer is None:
        return ""
    assert isinstance(answer, ElicitResult)
    assert ctx.request_state == "for whom"
    return str((answer.content or {}).get("name", "nobody"))


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        server.run("stdio")
    else:
        server.run("streamable-http", port=int(sys.argv[2]))
