"""Settings of servers: which they are, and what is sent with each request."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from config import values
from config.fields.marks import SERVERS, Fields
from config.flags import Flag
from config.values import HeaderWish


class ServerFields(Fields):
    """Which servers a run has."""

    servers: Annotated[
        tuple[str, ...],
        BeforeValidator(values.read_servers),
        Flag(SERVERS, "URL|NAME", "--server", variable="MCP_SERVER_URL", is_repeatable=True),
    ] = Field(
        default=(),
        repr=False,
        description="a server: its address, or its name in a configuration; without one, all that "
        "are configured, else a small server starts inside",
    )
    mcp_config: Annotated[
        tuple[str, ...],
        BeforeValidator(values.read_configs),
        Flag(SERVERS, "FILE|JSON", is_repeatable=True),
    ] = Field(
        default=(),
        repr=False,
        description="servers as other clients write them (mcpServers); without it, .mcp.json",
    )
    dialect: Annotated[
        Literal["auto", "seed", "sse", "http", "stdio"],
        Flag(SERVERS, "auto|seed|sse|http|stdio"),
    ] = Field(default="auto", description="what the servers speak; found out if not told")
    headers: Annotated[
        tuple[HeaderWish, ...],
        BeforeValidator(values.read_headers),
        Flag(SERVERS, "'NAME: VALUE'", "--header", "-H", is_repeatable=True),
    ] = Field(default=(), description="sent with each request to a server")
    api_key_header: Annotated[Literal["Authorization", "X-API-Key"], Flag(SERVERS, "NAME")] = Field(
        default="Authorization",
        description="how MCP_API_KEY is sent: Authorization (as Bearer) or X-API-Key",
    )
