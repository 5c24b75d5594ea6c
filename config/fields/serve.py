"""Settings of the server inside."""

from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr

from config import values
from config.fields.marks import SERVE, Fields
from config.flags import Flag


class ServeFields(Fields):
    """Where the command `serve` listens, and to whom."""

    serve_host: Annotated[
        str, Flag(SERVE, "HOST", "--host", variable="RXMCP_SERVE_HOST", commands=("serve",))
    ] = Field(default="127.0.0.1", min_length=1, description="address to listen on")
    serve_port: Annotated[
        int, Flag(SERVE, "PORT", "--port", variable="RXMCP_SERVE_PORT", commands=("serve",))
    ] = Field(default=8765, ge=0, le=65_535, description="port to listen on; 0 takes a free one")
    serve_folder: Annotated[
        str, Flag(SERVE, "DIR", "--folder", variable="RXMCP_SERVE_FOLDER", commands=("serve",))
    ] = Field(default=".", min_length=1, description="what the tool search_text may read")
    serve_from: Annotated[
        str, Flag(SERVE, "FILE", "--from", variable=None, commands=("serve",))
    ] = Field(default="", description="serve what a recording holds: its servers, and its model")
    api_key: Annotated[
        SecretStr | None,
        BeforeValidator(values.read_key),
        Flag(SERVE, "KEY", variable="MCP_API_KEY", commands=("serve",)),
    ] = Field(
        default=None, description="what callers must send; on a shared machine use the variable"
    )
