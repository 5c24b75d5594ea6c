"""Everything a run can be told, one field each: its flag, its variable, its default, its check.

The order of the fields is the order of the help text. A flag beats the environment, the environment
beats the `.env` file, and that beats the default; `command_line.py` puts them together. It is one
table, so it is one file, though longer than files are here.
"""

import shlex
from collections.abc import Set
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from config import values
from config.flags import Flag, Variable
from config.options import (
    HeartbeatOptions,
    MailboxOptions,
    ModelOptions,
    OAuthFlow,
    OAuthOptions,
    Options,
    PostOptions,
    RecordingOptions,
    RetryOptions,
    StreamOptions,
    WebhookOptions,
)
from config.prices import Price, price_of
from config.servers import url_secrets
from config.values import FaultWish, HeaderWish, SinkWish

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
]
LogLevel: TypeAlias = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
ServerLogLevel: TypeAlias = Literal[
    "debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"
]
"""As servers have them (MCP: server/utilities/logging)."""

_ALL: tuple[Command, ...] = get_args(Command)
REQUESTS: tuple[Command, ...] = (
    "resources",
    "templates",
    "read",
    "prompts",
    "prompt",
    "skills",
    "complete",
)
"""The commands that ask servers for something else than tools."""

_BEGUN = ("chat", "tools", "call", *REQUESTS)
_RUNS = (*_BEGUN, "replay", "resume", "fork")
_SERVERS, _CHAT, _OUTPUT = "Servers", "Prompts and the model", "Results"
_ACCESS = "Authorization"
_ASKED = "What servers may ask of you"
_PATIENCE, _SCREEN, _SERVE = "Patience", "Screen", "The server inside (serve)"
_RECORDINGS = "Recordings"
_PROMPTED = ("chat", "resume", "fork")

_Seconds: TypeAlias = Annotated[float, Flag(_PATIENCE, "SECONDS")]
_Tuned: TypeAlias = Annotated[float, Variable()]
_TunedCount: TypeAlias = Annotated[int, Variable()]
_TunedText: TypeAlias = Annotated[str, Variable()]
_Secret: TypeAlias = Annotated[SecretStr | None, Variable()]


def _same(options: type[Options], name: str) -> Any:
    """Default, bounds and description of a field of an option group."""
    return options.model_fields[name]


def _seconds(default: float, description: str) -> Any:
    return Field(default=default, gt=0, description=description)


def _upper(word: object) -> object:
    return word.upper() if isinstance(word, str) else word


class Settings(BaseSettings):
    """All that a run is told, checked. It holds secrets: hand its groups on, never print it."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    command: Command = "chat"
    call_tool: str = ""
    call_arguments: tuple[str, ...] = ()
    request_words: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    claude_secrets: tuple[SecretStr, ...] = ()
    named_secrets: tuple[SecretStr, ...] = ()
    """The values of the variables in `secret_env`, in their order."""

    servers: Annotated[
        tuple[str, ...],
        BeforeValidator(values.read_servers),
        Flag(_SERVERS, "URL|NAME", "--server", variable="MCP_SERVER_URL", is_repeatable=True),
    ] = Field(
        default=(),
        repr=False,
        description="a server: its address, or its name in a configuration; without one, all that "
        "are configured, else a small server starts inside",
    )
    mcp_config: Annotated[
        tuple[str, ...],
        BeforeValidator(values.read_configs),
        Flag(_SERVERS, "FILE|JSON", is_repeatable=True),
    ] = Field(
        default=(),
        repr=False,
        description="servers as other clients write them (mcpServers); without it, .mcp.json",
    )
    dialect: Annotated[
        Literal["auto", "seed", "sse", "http", "stdio"],
        Flag(_SERVERS, "auto|seed|sse|http|stdio"),
    ] = Field(default="auto", description="what the servers speak; found out if not told")
    headers: Annotated[
        tuple[HeaderWish, ...],
        BeforeValidator(values.read_headers),
        Flag(_SERVERS, "'NAME: VALUE'", "--header", "-H", is_repeatable=True),
    ] = Field(default=(), description="sent with each request to a server")
    api_key_header: Annotated[Literal["Authorization", "X-API-Key"], Flag(_SERVERS, "NAME")] = (
        Field(
            default="Authorization",
            description="how MCP_API_KEY is sent: Authorization (as Bearer) or X-API-Key",
        )
    )

    oauth_flow: Annotated[OAuthFlow, Flag(_ACCESS, "FLOW")] = _same(OAuthOptions, "flow")
    oauth_client_id: Annotated[str, Flag(_ACCESS, "ID")] = _same(OAuthOptions, "client_id")
    oauth_issuer: Annotated[str, Flag(_ACCESS, "URL")] = _same(OAuthOptions, "issuer")
    oauth_scope: Annotated[str, Flag(_ACCESS, "'SCOPE …'")] = _same(OAuthOptions, "scope")
    oauth_client_metadata_url: Annotated[str, Flag(_ACCESS, "URL")] = _same(
        OAuthOptions, "client_metadata_url"
    )
    oauth_private_key_file: Annotated[str, Flag(_ACCESS, "FILE")] = _same(
        OAuthOptions, "private_key_file"
    )
    oauth_redirect_port: Annotated[int, Flag(_ACCESS, "PORT")] = _same(
        OAuthOptions, "redirect_port"
    )
    oauth_timeout: Annotated[float, Flag(_ACCESS, "SECONDS")] = _same(OAuthOptions, "timeout")
    no_browser: Annotated[bool, Flag(_ACCESS)] = _same(OAuthOptions, "no_browser")
    dpop: Annotated[Literal["auto", "always", "never"], Flag(_ACCESS, "WHEN")] = _same(
        OAuthOptions, "dpop"
    )
    token_store: Annotated[
        Literal["auto", "keyring", "file", "none"], Flag(_ACCESS, "auto|keyring|file|none")
    ] = _same(OAuthOptions, "token_store")
    token_file: Annotated[str, Flag(_ACCESS, "PATH")] = _same(OAuthOptions, "token_file")

    elicit: Annotated[
        Literal["auto", "never", "ask", "defaults"], Flag(_ASKED, "WHO", commands=_BEGUN)
    ] = Field(
        default="auto",
        description="who fills in a server's forms: never, ask (you) or defaults (what the form "
        "proposes, and --answer); auto asks in a chat at a terminal",
    )
    answers: Annotated[
        tuple[str, ...],
        BeforeValidator(values.read_answers),
        Flag(_ASKED, "NAME=VALUE", "--answer", is_repeatable=True, commands=_BEGUN),
    ] = Field(default=(), description="what goes into a field of that name, if nobody fills it in")
    sampling: Annotated[
        Literal["auto", "never", "ask", "always"], Flag(_ASKED, "WHEN", commands=_BEGUN)
    ] = Field(
        default="auto",
        description="whether a server may ask your model: never, ask (you) or always; auto asks in "
        "a chat at a terminal",
    )
    roots: Annotated[
        tuple[str, ...],
        BeforeValidator(values.read_roots),
        Flag(_ASKED, "DIR", "--root", is_repeatable=True, commands=_BEGUN),
    ] = Field(default=(), description="a folder that servers are told they may work in")
    question_timeout: Annotated[float, Flag(_ASKED, "SECONDS", commands=_BEGUN)] = _seconds(
        300.0, "seconds for you to answer a server's question"
    )
    server_log_level: Annotated[ServerLogLevel | None, Flag(_ASKED, "LEVEL", commands=_BEGUN)] = (
        Field(default=None, description="what servers are to log, from debug to emergency up")
    )

    prompt: Annotated[
        str | None,
        Flag(_CHAT, "TEXT", short="-p", variable=None, commands=("chat", "resume", "fork")),
    ] = Field(
        default=None,
        description="one answer, then exit; standard input, if any, is its context",
    )
    model: Annotated[
        str, Flag(_CHAT, "NAME", default="claude-sonnet-5-5 with a key, else direct")
    ] = Field(default="direct", min_length=1, description="a Claude model, or direct for none")
    system_prompt: Annotated[str, Flag(_CHAT, "TEXT")] = Field(
        default="", description="instructions for the model"
    )
    max_tokens: Annotated[int, Flag(_CHAT, "N")] = _same(ModelOptions, "max_tokens")
    max_turns: Annotated[int, Flag(_CHAT, "N")] = Field(
        default=16, ge=1, description="most model turns for one prompt"
    )
    max_budget_usd: Annotated[float | None, Flag(_CHAT, "X")] = Field(
        default=None, gt=0, description="US dollars the run may cost"
    )
    price: Annotated[
        Price | None, BeforeValidator(values.read_price), Flag(_CHAT, "INPUT/OUTPUT")
    ] = Field(default=None, description="what the model costs, USD per million tokens")
    allowed_tools: Annotated[
        tuple[str, ...],
        BeforeValidator(values.read_globs),
        Flag(_CHAT, "GLOB", is_repeatable=True),
    ] = Field(default=(), description="only these tools; several with commas")
    disallowed_tools: Annotated[
        tuple[str, ...],
        BeforeValidator(values.read_globs),
        Flag(_CHAT, "GLOB", is_repeatable=True),
    ] = Field(default=(), description="not these tools; several with commas")

    sinks: Annotated[
        tuple[SinkWish, ...],
        BeforeValidator(values.read_sinks),
        Flag(_OUTPUT, "SINK", "--sink", is_repeatable=True, commands=_RUNS),
    ] = Field(
        default=(SinkWish(kind="console"),),
        description="where results go: console, jsonl=PATH or webhook=URL",
    )
    output_format: Annotated[
        Literal["text", "json", "stream-json"],
        Flag(_OUTPUT, "FORMAT", commands=_RUNS),
    ] = Field(default="text", description="text, json (an object) or stream-json (an event a line)")
    ignore_tool_error: Annotated[bool, Flag(_OUTPUT, commands=("call",))] = Field(
        default=False, description="call: exit with 0 when the tool answers with an error"
    )

    fsync: Annotated[
        Literal["none", "interval", "always"],
        Flag(_RECORDINGS, "none|interval|always", commands=_RUNS),
    ] = _same(RecordingOptions, "fsync")
    rotate_size: Annotated[
        int | None,
        BeforeValidator(values.read_size),
        Flag(_RECORDINGS, "SIZE", default="never", commands=_RUNS),
    ] = _same(RecordingOptions, "rotate_size")
    compress: Annotated[
        Literal["none", "gzip", "zstd"],
        Flag(_RECORDINGS, "none|gzip|zstd", commands=_RUNS),
    ] = _same(RecordingOptions, "compress")
    on_recording_failure: Annotated[
        Literal["continue", "stop"], Flag(_RECORDINGS, "continue|stop")
    ] = _same(RecordingOptions, "on_recording_failure")
    redact: Annotated[Literal["known", "off"], Flag(_RECORDINGS, "known|off")] = Field(
        default="known",
        description="known: a key of this run that comes back is [redacted:known:1] everywhere",
    )
    check: Annotated[bool, Flag(_RECORDINGS, variable=None, commands=("replay",))] = Field(
        default=False, description="replay: compare each event; exit with 6 at a difference"
    )
    until: Annotated[int | None, Flag(_RECORDINGS, "N", variable=None, commands=("replay",))] = (
        Field(default=None, ge=1, description="replay: stop after event N")
    )
    speed: Annotated[
        float | None,
        BeforeValidator(values.read_speed),
        Flag(_RECORDINGS, "N|max", variable=None, commands=("replay",), default="max"),
    ] = Field(default=None, gt=0, description="replay: 1 keeps the pace of the run")
    fault: Annotated[
        tuple[FaultWish, ...],
        BeforeValidator(values.read_faults),
        Flag(_RECORDINGS, "KIND@N", variable=None, is_repeatable=True, commands=("replay",)),
    ] = Field(
        default=(),
        description="replay: what if: drop, delay:SECONDS, 500, 404, duplicate, silence at event N",
    )
    against: Annotated[
        Literal["live"] | None,
        Flag(_RECORDINGS, "live", variable=None, commands=("replay",)),
    ] = Field(
        default=None,
        description="replay: ask the real servers and model again, with tools really called, and "
        "compare what they do; exit with 6 at a difference",
    )
    at: Annotated[int | None, Flag(_RECORDINGS, "N", variable=None, commands=("fork",))] = Field(
        default=None, ge=1, description="fork: go another way after event N"
    )
    html: Annotated[str, Flag(_RECORDINGS, "PATH", variable=None, commands=("show",))] = Field(
        default="", description="show: write one page to look at in a browser"
    )
    out: Annotated[
        str, Flag(_RECORDINGS, "PATH", variable=None, commands=("migrate", "redact"))
    ] = Field(default="", description="migrate, redact: the new file")
    secret_env: Annotated[
        tuple[str, ...],
        Flag(_RECORDINGS, "NAME", variable=None, is_repeatable=True, commands=("redact",)),
    ] = Field(default=(), description="redact: what this variable holds is a secret, too")
    pattern: Annotated[
        tuple[str, ...],
        BeforeValidator(values.read_patterns),
        Flag(_RECORDINGS, "REGEX", variable=None, is_repeatable=True, commands=("redact",)),
    ] = Field(default=(), repr=False, description="redact: what this matches is a secret, too")

    start_timeout: _Seconds = _seconds(
        30.0, "seconds until all servers are ready, then without the others"
    )
    connect_timeout: _Seconds = _same(StreamOptions, "connect_timeout")
    call_timeout: _Seconds = _seconds(
        60.0, "seconds for a tool call, more while it reports progress"
    )
    call_timeout_max: _Seconds = _seconds(600.0, "seconds for a tool call in any case")
    repeat_calls: Annotated[Literal["safe", "always", "never"], Flag(_PATIENCE, "WHEN")] = Field(
        default="safe",
        description="calls that lost their connection are sent again: safe (if the tool says that "
        "this does no harm), always or never",
    )
    silence: _Seconds = _same(HeartbeatOptions, "silence")
    retry_attempts: Annotated[int, Flag(_PATIENCE, "N")] = _same(RetryOptions, "attempts")
    retry_total: _Seconds = _same(RetryOptions, "total")
    model_first_token: _Seconds = _same(ModelOptions, "first_token")
    model_silence: _Seconds = _same(ModelOptions, "silence")

    color: Annotated[Literal["auto", "always", "never"], Flag(_SCREEN, "WHEN", commands=_ALL)] = (
        Field(default="auto", description="auto, always or never; NO_COLOR makes it never")
    )
    quiet: Annotated[bool, Flag(_SCREEN, short="-q", commands=_ALL)] = Field(
        default=False, description="answers and errors only"
    )
    verbose: Annotated[bool, Flag(_SCREEN, short="-v", commands=_ALL)] = Field(
        default=False, description="also what happens on the way"
    )
    log_level: Annotated[
        LogLevel | None, BeforeValidator(_upper), Flag(_SCREEN, "LEVEL", commands=_ALL)
    ] = Field(
        default=None,
        description="logs on standard error from DEBUG, INFO, WARNING or ERROR up",
    )

    serve_host: Annotated[
        str, Flag(_SERVE, "HOST", "--host", variable="RXMCP_SERVE_HOST", commands=("serve",))
    ] = Field(default="127.0.0.1", min_length=1, description="address to listen on")
    serve_port: Annotated[
        int, Flag(_SERVE, "PORT", "--port", variable="RXMCP_SERVE_PORT", commands=("serve",))
    ] = Field(default=8765, ge=0, le=65_535, description="port to listen on; 0 takes a free one")
    serve_folder: Annotated[
        str, Flag(_SERVE, "DIR", "--folder", variable="RXMCP_SERVE_FOLDER", commands=("serve",))
    ] = Field(default=".", min_length=1, description="what the tool search_text may read")
    serve_from: Annotated[
        str, Flag(_SERVE, "FILE", "--from", variable=None, commands=("serve",))
    ] = Field(default="", description="serve what a recording holds: its servers, and its model")
    api_key: Annotated[
        SecretStr | None,
        BeforeValidator(values.read_key),
        Flag(_SERVE, "KEY", variable="MCP_API_KEY", commands=("serve",)),
    ] = Field(
        default=None, description="what callers must send; on a shared machine use the variable"
    )

    retry_first_attempts: _TunedCount = _same(RetryOptions, "first_attempts")
    retry_first_delay: _Tuned = _same(RetryOptions, "first_delay")
    retry_max_delay: _Tuned = _same(RetryOptions, "max_delay")
    retry_factor: _Tuned = _same(RetryOptions, "factor")
    retry_max_wish: _Tuned = _same(RetryOptions, "max_wish")
    retry_healthy_after: _Tuned = _same(RetryOptions, "healthy_after")
    mailbox_high: _TunedCount = _same(MailboxOptions, "high")
    mailbox_low: _TunedCount = _same(MailboxOptions, "low")
    max_event_bytes: _TunedCount = _same(StreamOptions, "max_event_bytes")
    post_timeout: _Tuned = _same(PostOptions, "post_timeout")
    max_body_bytes: _TunedCount = _same(PostOptions, "max_body_bytes")
    model_max_retries: _TunedCount = _same(ModelOptions, "max_retries")
    fsync_interval: _Tuned = _same(RecordingOptions, "fsync_interval")
    fsync_lines: _TunedCount = _same(RecordingOptions, "fsync_lines")
    webhook_secret: Annotated[SecretStr | None, Variable()] = Field(
        default=None, description="whsec_…, to sign what goes to webhooks"
    )
    webhook_timeout: _Tuned = _same(WebhookOptions, "timeout")
    webhook_attempts: _TunedCount = _same(WebhookOptions, "attempts")
    webhook_first_delay: _Tuned = _same(WebhookOptions, "first_delay")
    webhook_max_delay: _Tuned = _same(WebhookOptions, "max_delay")
    webhook_drain: _Tuned = _same(WebhookOptions, "drain")

    oauth_client_secret: _Secret = _same(OAuthOptions, "client_secret")
    oauth_private_key_alg: _TunedText = _same(OAuthOptions, "private_key_alg")
    oauth_workload_jwt: _Secret = _same(OAuthOptions, "workload_jwt")
    oauth_workload_jwt_file: _TunedText = _same(OAuthOptions, "workload_jwt_file")
    oauth_idp_issuer: _TunedText = _same(OAuthOptions, "idp_issuer")
    oauth_idp_token_endpoint: _TunedText = _same(OAuthOptions, "idp_token_endpoint")
    oauth_idp_client_id: _TunedText = _same(OAuthOptions, "idp_client_id")
    oauth_idp_client_secret: _Secret = _same(OAuthOptions, "idp_client_secret")
    oauth_idp_id_token: _Secret = _same(OAuthOptions, "idp_id_token")
    oauth_browser: Annotated[str, Variable("BROWSER")] = _same(OAuthOptions, "browser")
    oauth_state_home: Annotated[str, Variable("XDG_STATE_HOME")] = _same(OAuthOptions, "state_home")

    @property
    def retry(self) -> RetryOptions:
        """How lost connections come back."""
        return RetryOptions(
            attempts=self.retry_attempts,
            first_attempts=self.retry_first_attempts,
            total=self.retry_total,
            first_delay=self.retry_first_delay,
            max_delay=self.retry_max_delay,
            factor=self.retry_factor,
            max_wish=self.retry_max_wish,
            healthy_after=self.retry_healthy_after,
        )

    @property
    def heartbeat(self) -> HeartbeatOptions:
        """How long a silent stream is trusted."""
        return HeartbeatOptions(silence=self.silence)

    @property
    def mailbox(self) -> MailboxOptions:
        """Where queues push back."""
        return MailboxOptions(high=self.mailbox_high, low=self.mailbox_low)

    @property
    def stream(self) -> StreamOptions:
        """Event streams."""
        return StreamOptions(
            connect_timeout=self.connect_timeout, max_event_bytes=self.max_event_bytes
        )

    @property
    def post(self) -> PostOptions:
        """Messages to servers."""
        return PostOptions(post_timeout=self.post_timeout, max_body_bytes=self.max_body_bytes)

    @property
    def model_options(self) -> ModelOptions:
        """The model."""
        return ModelOptions(
            model=self.model,
            max_tokens=self.max_tokens,
            first_token=self.model_first_token,
            silence=self.model_silence,
            max_retries=self.model_max_retries,
        )

    @property
    def recording(self) -> RecordingOptions:
        """Recordings on the disk."""
        return RecordingOptions(
            fsync=self.fsync,
            fsync_interval=self.fsync_interval,
            fsync_lines=self.fsync_lines,
            rotate_size=self.rotate_size,
            compress=self.compress,
            on_recording_failure=self.on_recording_failure,
        )

    @property
    def webhook(self) -> WebhookOptions:
        """Deliveries to webhooks."""
        return WebhookOptions(
            timeout=self.webhook_timeout,
            attempts=self.webhook_attempts,
            first_delay=self.webhook_first_delay,
            max_delay=self.webhook_max_delay,
            drain=self.webhook_drain,
        )

    @property
    def oauth(self) -> OAuthOptions:
        """How servers that want authorization get it."""
        told = {
            name: getattr(self, name if name in type(self).model_fields else f"oauth_{name}")
            for name in OAuthOptions.model_fields
        }
        return OAuthOptions(**told)

    @property
    def model_price(self) -> Price | None:
        """What the model costs: as told, else as the table knows it, None where neither does."""
        return self.price if self.price is not None else price_of(self.model)

    @property
    def logs_from(self) -> LogLevel:
        """The level from which logs are shown."""
        if self.log_level is not None:
            return self.log_level
        if self.verbose:
            return "INFO"
        return "ERROR" if self.quiet else "WARNING"

    @property
    def call_text(self) -> str:
        """The arguments of `call` as one text, which `parse_arguments` reads back."""
        if len(self.call_arguments) == 1 and self.call_arguments[0].startswith("{"):
            return self.call_arguments[0]
        return shlex.join(self.call_arguments)

    def secrets(self) -> Set[str]:
        """All values that must never be shown; the same settings give them in the same order."""
        single = [self.api_key, self.webhook_secret, *self.claude_secrets]
        found = [secret.get_secret_value() for secret in single if secret is not None]
        found += self.oauth.secrets()
        for header in self.headers:
            value = header.value.get_secret_value()
            found += [value, value.rpartition(" ")[2]]  # the token of `Bearer token`
        for url in (*self.servers, *(s.target for s in self.sinks if s.kind == "webhook")):
            found += sorted(url_secrets(url))
        return dict.fromkeys(found).keys()
