"""Everything that can happen in a session, as frozen values tagged by `kind`.

Three families, and their names tell them apart:

* *Inputs* come from outside and cannot be recomputed: past tense, what a replay feeds in.
* *Outcomes* are what the core makes of them: past tense, what people and other programs read.
* *Commands* (`commands.py`) are what the core wants done: imperative.

`docs/events.md` is generated from this file and `commands.py`: a docstring here is what a reader of
a recording sees. It is one page on purpose, longer than files are here: a catalogue is read by
looking things up. No event ever holds a secret.
"""

import re
from typing import Any, Literal, TypeAlias, TypeGuard

import msgspec

from pipeline.core.plan import Goal, Plan, ServerPlan

Json: TypeAlias = dict[str, Any]
Headers: TypeAlias = dict[str, str]
Dialect: TypeAlias = Literal["seed", "sse", "http", "stdio"]
CallOutcome: TypeAlias = Literal["answered", "not_sent", "unknown"]
Stop: TypeAlias = Literal[
    "end_turn",
    "max_tokens",
    "max_turns",
    "max_budget",
    "refusal",
    "context_full",
    "cancelled",
    "model_failed",
]

_WORD_START = re.compile(r"(?<!^)(?=[A-Z])")


def snake_case(name: str) -> str:
    """`ToolEnded` is `tool_ended` in a recording."""
    return _WORD_START.sub("_", name).lower()


class Event(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    tag_field="kind",
    tag=snake_case,
):
    """Base of all events and commands: frozen, keyword-only, tagged by `kind`."""


# --- values that events carry ---------------------------------------------------------------


class Route(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where messages for one session go, and in which dialect: enough to post without asking.

    `protocol` is the revision, for the dialects `http` and `stdio`, whose messages depend on it;
    `meta` is what each request says of its client since 2026-07-28 (`_meta`).
    """

    server: str
    url: str
    dialect: Dialect
    session_id: str = ""
    protocol: str = ""
    meta: Json = {}


class Tool(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tool as its server describes it; `alias` is the safe, unique name the model sees.

    `task_support` is `required`, `optional` or empty (MCP 2025-11-25, `execution.taskSupport`).
    `digest` is `sha256:` and the hexadecimal SHA-256 of the description: of the RFC 8785 form of an
    object that has `name`, `title`, `description`, `inputSchema`, `outputSchema` and `annotations`
    as MCP calls them, without those that are empty here. So it is the same whatever server, alias,
    spelling or order of members the tool comes with, and another one if anything is said otherwise.
    """

    server: str
    name: str
    alias: str = ""
    digest: str = ""
    title: str = ""
    description: str = ""
    input_schema: Json = {}
    output_schema: Json | None = None
    annotations: Json = {}
    task_support: str = ""


class ChangedTool(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tool that says otherwise than was approved: `digest` is that of now, `approved` the pin's.

    `difference` is lines for a person: the name of a member with a colon, below it what it said
    (`- …`) and what it says (`+ …`). They are shortened, and still hold the server's text as it is.
    """

    name: str
    digest: str
    approved: str
    difference: tuple[str, ...] = ()


class Tokens(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Token counts of one model call, as the model's server reports them."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0


# --- inputs ---------------------------------------------------------------------------------


class RunStarted(Event, frozen=True):
    """The first input of every run."""


class RunResumed(Event, frozen=True):
    """A recorded run goes on in another process, where no connection and no timer is left.

    What it says replaces the plan's: the goal, the servers, and whether a person is at a terminal.
    `plan` is for all else that was told otherwise this time; None: nothing was.
    """

    goal: Goal
    servers: tuple[ServerPlan, ...]
    interactive: bool = False
    plan: Plan | None = None

    def plan_after(self, before: Plan) -> Plan:
        """The plan that holds from here on, where `before` was in force."""
        plan = before if self.plan is None else self.plan
        return msgspec.structs.replace(
            plan, goal=self.goal, servers=self.servers, interactive=self.interactive
        )


class PromptSubmitted(Event, frozen=True):
    """A person asked something. `repaired`: it was not valid UTF-8, U+FFFD stands for the rest."""

    text: str
    repaired: bool = False


class PromptRejected(Event, frozen=True):
    """A prompt never became one: it was too long, or could not be read."""

    reason: str


class CallSubmitted(Event, frozen=True):
    """A person asked for one tool call: `arguments` is `key=value …` or a JSON object."""

    tool: str
    arguments: str = ""


class InputEnded(Event, frozen=True):
    """There will be no more prompts."""


class PromptCancelled(Event, frozen=True):
    """A person pressed Ctrl-C once, or the program was asked to end (`signal`)."""

    signal: str = "SIGINT"


class StreamOpened(Event, frozen=True):
    """A server accepted our event stream."""

    server: str


class FrameReceived(Event, frozen=True):
    """One dispatched SSE event, or one line of a process, still undecoded.

    `stream` is the id of the `Post` or `Get` that it answers; empty for the stream of `Open`.
    """

    server: str
    event: str
    data: str
    id: str = ""
    stream: str = ""


class StreamLost(Event, frozen=True):
    """A server's stream ended. `retry_in` seconds until the next attempt, None: nobody will try.

    `status` is the HTTP status when the server answered with one.
    """

    server: str
    reason: str
    retry_in: float | None = None
    attempt: int = 0
    status: int | None = None


class PostAnswered(Event, frozen=True):
    """A message was posted (or a stream asked for), or could not be.

    `id` is that of `Post` or `Get`; `status` the HTTP status, None when no answer came (`reason`
    says why); `is_sent` is False when no byte of the message can have reached the server. A process
    took a message: that is status 202, as over HTTP. `is_open`: the answer is an event stream; what
    it brings follows as `FrameReceived`, up to one `AnswerEnded`. `session_id` is what the header
    `Mcp-Session-Id` says, `retry_after` the seconds for which a refusal asks to be left alone.
    """

    server: str
    id: str
    status: int | None = None
    body: str = ""
    reason: str = ""
    is_sent: bool = True
    is_open: bool = False
    session_id: str = ""
    retry_after: float | None = None


class AnswerEnded(Event, frozen=True):
    """The event stream that answered a `Post` or `Get` ended; `reason` is empty if in good order.

    `last_event_id` is where it may be resumed, `retry_ms` the pause that the server asks for.
    """

    server: str
    id: str
    reason: str = ""
    last_event_id: str = ""
    retry_ms: int | None = None


class SignInStarted(Event, frozen=True):
    """A server wants credentials, and they are being got; a person may be at a browser."""

    server: str


class SignInEnded(Event, frozen=True):
    """There are credentials for a server, or there will be none."""

    server: str


class RequestSubmitted(Event, frozen=True):
    """A person asked a server something that is no tool call (`resources/read`, `prompts/get`, …).

    `server` empty: every server that offers this. Lists are read to their last page. `into_chat`:
    the messages of a `prompts/get` become part of the conversation, and the model answers them.
    """

    method: str
    params: Json = {}
    server: str = ""
    into_chat: bool = False


class QuestionAnswered(Event, frozen=True):
    """A person answered an `Ask`, or nobody did in time (`cancel`).

    `content` holds the fields of a form by name, or as `tools` the names of those approved.
    """

    question: str
    action: Literal["accept", "decline", "cancel"]
    content: Json = {}


class ModelSpoke(Event, frozen=True):
    """A piece of the model's answer, as it streams."""

    call: str
    text: str


class ModelThought(Event, frozen=True):
    """A piece of the model's thinking, as it streams."""

    call: str
    text: str


class ModelFinished(Event, frozen=True):
    """The model ended its turn. `content` holds its blocks, to be sent back as they are."""

    call: str
    content: tuple[Json, ...]
    stop_reason: str
    model: str = ""
    tokens: Tokens = Tokens()


class ModelFailed(Event, frozen=True):
    """The model gave no whole answer. `may_retry`: nothing speaks against asking again."""

    call: str
    reason: str
    status: int | None = None
    may_retry: bool = False


class TimerFired(Event, frozen=True):
    """A timer that the core started ran out."""

    id: str


class SinkFailed(Event, frozen=True):
    """A sink could not do its work; the others go on. `is_final`: it was given up.

    `ends_run`: nothing may be done that is not written there, so the run ends.
    """

    sink: str
    reason: str
    is_final: bool = True
    ends_run: bool = False


Input: TypeAlias = (
    RunStarted
    | RunResumed
    | PromptSubmitted
    | PromptRejected
    | CallSubmitted
    | InputEnded
    | PromptCancelled
    | StreamOpened
    | FrameReceived
    | StreamLost
    | PostAnswered
    | AnswerEnded
    | SignInStarted
    | SignInEnded
    | RequestSubmitted
    | QuestionAnswered
    | ModelSpoke
    | ModelThought
    | ModelFinished
    | ModelFailed
    | TimerFired
    | SinkFailed
)


def is_input(item: object) -> TypeGuard[Input]:
    """Did it come from outside? Then a replay feeds it in."""
    return isinstance(item, Input)


# --- outcomes -------------------------------------------------------------------------------


class SessionReady(Event, frozen=True):
    """A server may be used from now on."""

    server: str
    route: Route
    protocol: str = ""
    server_name: str = ""
    server_version: str = ""
    instructions: str = ""


class SessionClosed(Event, frozen=True):
    """A session that was ready is lost. `retry_in` as in `StreamLost`."""

    server: str
    reason: str
    retry_in: float | None = None


class ServersSettled(Event, frozen=True):
    """Each server is ready, has failed, or has had its time to start: prompts may go on."""

    ready: tuple[str, ...]
    failed: tuple[str, ...] = ()
    starting: tuple[str, ...] = ()


class ToolsChanged(Event, frozen=True):
    """What one server offers now, and what that changes (names)."""

    server: str
    tools: tuple[Tool, ...]
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


class ToolsHeld(Event, frozen=True):
    """The tools of a server that are held now, all of them: they say otherwise than was approved.

    A held tool is neither offered to the model nor called, until it is approved or says again what
    was. No tools: none is held any more.
    """

    server: str
    tools: tuple[ChangedTool, ...]


class ToolsApproved(Event, frozen=True):
    """What tools of a server say now is approved, by a person or by what the run was told."""

    server: str
    tools: tuple[ChangedTool, ...]
    by: Literal["person", "setting"]


class CallRejected(Event, frozen=True):
    """A person's `CallSubmitted` names no tool, or its arguments do not fit; nothing was sent.

    So it is with a `RequestSubmitted` that no server can take; `tool` is then its method.
    """

    tool: str
    reason: str
    hint: str = ""


class ToolStarted(Event, frozen=True):
    """A tool call was decided on. It is written down before anything is sent."""

    call: str
    server: str
    tool: str
    arguments: Json = {}


class ToolRepeated(Event, frozen=True):
    """A call lost its connection and is sent again, for its tool says that this does no harm."""

    call: str
    server: str
    tool: str
    reason: str


class ToolDelayed(Event, frozen=True):
    """A server refused to take a call now (HTTP 429, 503); it is sent again in `retry_in` seconds.

    That is what the server asked for, as far as the call's own time allows, or else our own pause.
    """

    call: str
    server: str
    tool: str
    reason: str
    retry_in: float


class ToolProgress(Event, frozen=True):
    """A server reported progress on a call; `total` None when unknown."""

    call: str
    progress: float
    total: float | None = None
    message: str = ""


class ToolEnded(Event, frozen=True):
    """A tool call ended, exactly once per `ToolStarted`.

    `outcome`: `answered` (see `is_error` and `content`), `not_sent` (the server never took it, so
    it is safe to call again), `unknown` (sent, then no answer: it may or may not have run).
    """

    call: str
    server: str
    tool: str
    outcome: CallOutcome
    is_error: bool = False
    content: tuple[Json, ...] = ()
    structured: Any = None
    reason: str = ""


class RequestStarted(Event, frozen=True):
    """A person's request goes to a server."""

    request: str
    server: str
    method: str
    params: Json = {}


class RequestEnded(Event, frozen=True):
    """A person's request ended, exactly once per `RequestStarted`; `outcome` as in `ToolEnded`.

    Of a list, `result` has all pages in one. `error` is set where the server refused.
    """

    request: str
    server: str
    method: str
    outcome: CallOutcome
    result: Json | None = None
    error: str = ""
    reason: str = ""


class QuestionAsked(Event, frozen=True):
    """A server wants something of a person or of the model: `form` says what.

    `form`: fill in `schema`; `url`: go to `url`; `sample`: let the model answer `detail`. Nothing
    of it is ours: all texts are the server's. `approve` is a question of ours: whether to approve
    what the `tools` in `detail` say now, each as in `ToolsHeld`.
    """

    question: str
    server: str
    form: Literal["form", "url", "sample", "approve"]
    message: str
    schema: Json = {}
    url: str = ""
    detail: Json = {}


class QuestionClosed(Event, frozen=True):
    """A question was answered, refused (`reason`), or given up."""

    question: str
    server: str
    action: Literal["accept", "decline", "cancel", "refused"]
    reason: str = ""


class ResourceUpdated(Event, frozen=True):
    """A resource that was subscribed to has changed."""

    server: str
    uri: str


class OffersChanged(Event, frozen=True):
    """A server says that its list of resources or prompts is another one now."""

    server: str
    what: Literal["resources", "prompts"]


class AnswerDelta(Event, frozen=True):
    """Text to show right away."""

    text: str


class AnswerCompleted(Event, frozen=True):
    """The whole answer to one prompt, and why it ended there."""

    text: str
    turns: int
    stop: Stop = "end_turn"


class Usage(Event, frozen=True):
    """What one model call used; `cost_usd` and `total_usd` are None where no price is known."""

    model: str
    tokens: Tokens
    cost_usd: float | None = None
    total_usd: float | None = None


class ServerLogged(Event, frozen=True):
    """A server sent a log message (`notifications/message`)."""

    server: str
    level: str
    text: str


class Problem(Event, frozen=True):
    """Something went wrong and the session goes on. `hint` says what a person can do."""

    where: str
    detail: str
    hint: str = ""


class RunEnded(Event, frozen=True):
    """The last event of every run; `code` is the exit status."""

    code: int
    reason: str = ""


Outcome: TypeAlias = (
    SessionReady
    | SessionClosed
    | ServersSettled
    | ToolsChanged
    | ToolsHeld
    | ToolsApproved
    | CallRejected
    | ToolStarted
    | ToolRepeated
    | ToolDelayed
    | ToolProgress
    | ToolEnded
    | RequestStarted
    | RequestEnded
    | QuestionAsked
    | QuestionClosed
    | ResourceUpdated
    | OffersChanged
    | AnswerDelta
    | AnswerCompleted
    | Usage
    | ServerLogged
    | Problem
    | RunEnded
)

# --- between two stages, never recorded -----------------------------------------------------


class ToolsListed(Event, frozen=True):
    """From the session to the tool registry: the whole list, as the server wrote it."""

    server: str
    tools: tuple[Any, ...]


class ReplyReceived(Event, frozen=True):
    """From the session to whoever waits for `id`; None where the dialect has no ids.

    `error` is set instead of `result` when the answer is a protocol error, with its `code` and
    `data`.
    """

    server: str
    id: str | None
    result: Json | None = None
    error: str = ""
    code: int | None = None
    data: Any = None


class RequestLost(Event, frozen=True):
    """From the session to whoever waits for `id`: no answer will come.

    `is_sent` False: the server cannot have seen it, or refused it before anything was done. It then
    waits for the next session, or where it `is_refused` for now, a while: `retry_in` seconds if the
    server said so.
    """

    server: str
    id: str
    reason: str
    is_sent: bool = True
    is_refused: bool = False
    retry_in: float | None = None


class ServerAsked(Event, frozen=True):
    """From the session to whoever answers, over `route`: a server's own request."""

    server: str
    id: str | int | float | None
    method: str
    params: Json = {}
    route: Route | None = None


class ServerCancelled(Event, frozen=True):
    """From the session: a server needs no answer to its request `id` any more."""

    server: str
    id: str | int | float | None


class SessionOffers(Event, frozen=True):
    """From the session, just before `SessionReady`: what the server says that it can do."""

    server: str
    capabilities: Json = {}


class ProgressReported(Event, frozen=True):
    """From the session to whoever waits for `id`."""

    server: str
    id: str
    progress: float
    total: float | None = None
    message: str = ""


Internal: TypeAlias = (
    ToolsListed
    | ReplyReceived
    | ProgressReported
    | RequestLost
    | ServerAsked
    | ServerCancelled
    | SessionOffers
)
