"""What a run is to do: everything the core may know of the settings, as one frozen value.

A recording carries the whole plan in its header, defaults too, so that a replay starts the core as
the run did, whatever the defaults are by then. It holds no secret: keys and tokens stay in the
shell, and `ServerPlan.url` has neither userinfo nor query.
"""

from typing import Literal, TypeAlias

import msgspec

Goal: TypeAlias = Literal["chat", "prompt", "tools", "call"]
Repeat: TypeAlias = Literal["safe", "always", "never"]
DialectWish: TypeAlias = Literal["auto", "seed", "sse"]


class ServerPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One server: `name` is unique in the run, `url` is where its event stream is."""

    name: str
    url: str
    dialect: DialectWish = "auto"


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """US dollars per million tokens."""

    input: float
    output: float
    cache_read: float
    cache_write: float


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run. Times are seconds; limits are counts unless the name has a unit."""

    goal: Goal = "chat"
    servers: tuple[ServerPlan, ...] = ()
    model: str = "direct"
    system_prompt: str = ""
    client_name: str = "rxmcp"
    client_version: str = "0"
    interactive: bool = False
    ignore_tool_error: bool = False
    allowed_tools: tuple[str, ...] = ()
    disallowed_tools: tuple[str, ...] = ()
    max_turns: int = 16
    max_budget_usd: float | None = None
    price: Price | None = None
    max_pending_calls: int = 128
    max_queued_prompts: int = 64
    max_tools: int = 2000
    max_pages: int = 200
    start_timeout: float = 30.0
    connect_timeout: float = 10.0
    dialect_grace: float = 0.25
    call_timeout: float = 60.0
    call_timeout_max: float = 600.0
    model_attempts: int = 2
    repeat_calls: Repeat = "safe"
    max_call_sends: int = 3

    def server(self, name: str) -> ServerPlan:
        """The plan of one server.

        Raises:
            KeyError: If the run has no server of that name.
        """
        for server in self.servers:
            if server.name == name:
                return server
        raise KeyError(name)
