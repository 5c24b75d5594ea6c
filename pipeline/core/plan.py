"""What a run is to do: everything the core may know of the settings, as one frozen value.

A recording carries the whole plan in its header, defaults too, so that a replay starts the core as
the run did, whatever the defaults are by then. It holds no secret: keys and tokens stay in the
shell, and `ServerPlan.url` has neither userinfo nor query.
"""

from typing import Any, Literal, TypeAlias

import msgspec

Goal: TypeAlias = Literal["chat", "prompt", "tools", "call", "request"]
Repeat: TypeAlias = Literal["safe", "always", "never"]
DialectWish: TypeAlias = Literal["auto", "seed", "sse", "http", "stdio"]
Sampling: TypeAlias = Literal["never", "ask", "always"]
Elicitation: TypeAlias = Literal["never", "ask", "defaults"]
ChangedTools: TypeAlias = Literal["ask", "hold", "accept"]


class ToolPin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was approved of a tool: its `digest`, as in `Tool`, and `said`, to show what changes.

    `said` holds the members that the digest is of by their MCP names, but for `name`. Those in
    `cut` were too long to keep: of a text the beginning is there, of all else nothing.
    """

    digest: str
    said: dict[str, Any] = {}
    cut: tuple[str, ...] = ()


class ServerPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One server: `name` is unique in the run, `url` is where it is.

    `url` is empty for a server that is a process of ours; `program` is then its name, without its
    arguments, which may hold secrets. `call_timeout` stands for the run's where it is set. A run
    ends if a `required` server does not start. `pins` is what was approved of its tools, by their
    names; None: they are used whatever they say.
    """

    name: str
    url: str
    dialect: DialectWish = "auto"
    program: str = ""
    call_timeout: float | None = None
    required: bool = False
    pins: dict[str, ToolPin] | None = None


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """US dollars per million tokens."""

    input: float
    output: float
    cache_read: float
    cache_write: float


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run. Times are seconds; limits are counts unless the name has a unit.

    `sampling` and `elicitation` say who answers when a server asks for the model or for a person:
    nobody (and the server is told that we cannot), the person, or we by ourselves (`defaults`: the
    defaults of the form). `answers` are for fields of these names: given, or proposed to whoever
    is asked. `roots` are `file://` URIs that servers may be told. `tasks`: a server may make a task
    of a call, and is asked for its result later. `changed_tools`: what becomes of a tool that says
    otherwise than its pin, which is that a person is asked, that it is held, or that it is approved
    as it is; those that a glob of `approve` names are approved in any case. `list_pause`: how long
    a list of tools that was read again is good for, whatever its server says.

    `max_refusals`: how often a message is sent again that a server refused to take, for it was busy
    (429, 503) or knew no such session (404); 0: never, and each transport has its own words for it.
    `retry_max_wish` is the longest pause that a server may ask for then. `await_posts`: a call that
    is given up, or loses its connection, ends when it is known whether its message had left.
    """

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
    sampling: Sampling = "never"
    elicitation: Elicitation = "never"
    answers: dict[str, Any] = {}
    roots: tuple[str, ...] = ()
    log_level: str = ""
    question_timeout: float = 300.0
    max_samples: int = 16
    max_questions: int = 16
    max_rounds: int = 8
    max_resumptions: int = 5
    list_pause: float = 0.0
    tasks: bool = False
    changed_tools: ChangedTools = "hold"
    approve: tuple[str, ...] = ()
    max_refusals: int = 0
    retry_max_wish: float = 300.0
    await_posts: bool = False

    def server(self, name: str) -> ServerPlan:
        """The plan of one server.

        Raises:
            KeyError: If the run has no server of that name.
        """
        for server in self.servers:
            if server.name == name:
                return server
        raise KeyError(name)

    def call_timeout_of(self, name: str) -> float | None:
        """A server's own `call_timeout`; None where it has none, or is not known."""
        return next((s.call_timeout for s in self.servers if s.name == name), None)
