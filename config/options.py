"""Frozen option groups, one per room that takes options. Nothing here reads the environment.

Times are seconds. The texts are what `--help` prints.
"""

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class Options(BaseModel):
    """Base of every group: immutable, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RetryOptions(Options):
    """How a lost connection comes back: two limits, whichever is reached first."""

    attempts: int = Field(default=8, ge=0, description="attempts in a row before giving up")
    first_attempts: int = Field(
        default=3, ge=0, description="attempts in a row while a server has never been healthy"
    )
    total: float = Field(default=300.0, gt=0, description="seconds of trying before giving up")
    first_delay: float = Field(default=0.5, gt=0, description="seconds, ceiling of the first pause")
    max_delay: float = Field(default=30.0, gt=0, description="seconds, ceiling of any pause")
    factor: float = Field(default=2.0, ge=1, description="growth of that ceiling from try to try")
    max_wish: float = Field(
        default=300.0, gt=0, description="seconds, longest wait that a server may ask for"
    )
    healthy_after: float = Field(
        default=5.0, ge=0, description="seconds a stream must last to count as healthy again"
    )


class HeartbeatOptions(Options):
    """How long a silent stream is trusted."""

    silence: float = Field(default=45.0, gt=0, description="seconds without a byte, then reconnect")


class MailboxOptions(Options):
    """Where a queue starts pushing back, and where it stops."""

    high: int = Field(default=512, ge=1, description="items in a queue that make writers wait")
    low: int = Field(default=128, ge=0, description="items in it that let them go on")
    max_bytes: int = Field(
        default=16 * 1024 * 1024, ge=1, description="bytes in it that make writers wait, too"
    )


class StreamOptions(Options):
    """One event stream over HTTP."""

    connect_timeout: float = Field(
        default=10.0, gt=0, description="seconds to connect and be answered"
    )
    max_event_bytes: int = Field(
        default=16 * 1024 * 1024,
        ge=1024,
        description="largest event of a stream, or line of a process, bytes",
    )


class PostOptions(Options):
    """Messages to a server."""

    post_timeout: float = Field(default=30.0, gt=0, description="seconds until a POST is answered")
    max_body_bytes: int = Field(
        default=16 * 1024 * 1024, ge=1024, description="largest body of an answer, bytes"
    )


class PromptOptions(Options):
    """What a person may say at once."""

    max_chars: int = Field(default=1_000_000, ge=1, description="longest prompt, characters")


class ModelOptions(Options):
    """The model behind the agent loop."""

    model: str = Field(default="direct", description="a Claude model, or `direct`")
    max_tokens: int = Field(default=8192, ge=1, description="most tokens of one model turn")
    first_token: float = Field(
        default=120.0, gt=0, description="seconds the model may think before its first word"
    )
    silence: float = Field(
        default=60.0, gt=0, description="seconds without a word in mid answer, then it is cut"
    )
    max_answer_bytes: int = Field(
        default=64 * 1024 * 1024,
        ge=1024,
        description="largest answer of the model in one turn, bytes",
    )
    max_retries: int = Field(
        default=2, ge=0, description="tries again of one request after 408, 409, 429, 5xx"
    )


OAuthFlow: TypeAlias = Literal["auto", "browser", "client-credentials", "workload", "enterprise"]


class OAuthOptions(Options):
    """How a server that asks for authorization gets it. It holds secrets: never print it."""

    flow: OAuthFlow = Field(
        default="auto",
        description="auto, browser (a person allows access), client-credentials, workload or "
        "enterprise; auto goes by what else is set",
    )
    client_id: str = Field(
        default="", description="what this client is registered as, where it is registered by hand"
    )
    client_secret: SecretStr | None = Field(
        default=None, description="the secret that goes with it"
    )
    client_metadata_url: str = Field(
        default="", description="https address of a client id metadata document, used as client id"
    )
    issuer: str = Field(
        default="", description="the one authorization server that may have these credentials"
    )
    scope: str = Field(
        default="", description="what to ask for, in place of what the server suggests"
    )
    redirect_port: int = Field(
        default=0, ge=0, le=65_535, description="port for the browser's answer; 0 takes a free one"
    )
    timeout: float = Field(
        default=300.0, gt=0, description="seconds that a person has to allow access"
    )
    no_browser: bool = Field(
        default=False, description="print the address to open, and do not open it"
    )
    browser: str = Field(default="", description="a command that opens an address, %s in it")
    private_key_file: str = Field(
        default="", description="a private key (PEM), to sign with in place of a client secret"
    )
    private_key_alg: str = Field(
        default="", description="that key's algorithm: ES256, RS256, …; found out if not told"
    )
    workload_jwt: SecretStr | None = Field(
        default=None, description="a JWT that the platform has issued for this workload"
    )
    workload_jwt_file: str = Field(default="", description="the file in which the platform puts it")
    idp_issuer: str = Field(default="", description="the enterprise's identity provider")
    idp_token_endpoint: str = Field(
        default="", description="its token endpoint; found out from the issuer if not told"
    )
    idp_client_id: str = Field(default="", description="what this client is registered as there")
    idp_client_secret: SecretStr | None = Field(default=None, description="the secret of that")
    idp_id_token: SecretStr | None = Field(
        default=None, description="the ID token of the person who has signed in there"
    )
    dpop: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="tokens that only this client can use (DPoP): auto, if the server asks for it",
    )
    token_store: Literal["auto", "keyring", "file", "none"] = Field(
        default="auto",
        description="where tokens stay: auto takes the keyring if there is one, else a file",
    )
    token_file: str = Field(
        default="", description="that file; without it, rxmcp/oauth.json in the folder for state"
    )
    state_home: str = Field(default="", description="the folder for state")

    @property
    def kind(self) -> Literal["browser", "client-credentials", "workload", "enterprise"]:
        """The flow to take: as told, else by what else is set."""
        if self.flow != "auto":
            return self.flow
        if self.idp_token_endpoint or self.idp_issuer:
            return "enterprise"
        if self.workload_jwt is not None or self.workload_jwt_file:
            return "workload"
        return "client-credentials" if self.private_key_file else "browser"

    def without_credentials(self) -> "OAuthOptions":
        """The same for a server that these credentials are not for: a person may let it in."""
        kept = self.model_dump(
            include={
                *("scope", "redirect_port", "timeout", "no_browser", "browser", "dpop"),
                *("client_metadata_url", "token_store", "token_file", "state_home"),
            }
        )
        return OAuthOptions(**kept)

    def secrets(self) -> tuple[str, ...]:
        """All values that must never be shown, in an order that does not change."""
        held = (self.client_secret, self.workload_jwt, self.idp_client_secret, self.idp_id_token)
        return tuple(secret.get_secret_value() for secret in held if secret is not None)


class WebhookOptions(Options):
    """Delivery to a webhook, and the outbox where messages wait for it."""

    timeout: float = Field(default=20.0, gt=0, description="seconds for one delivery")
    attempts: int = Field(default=6, ge=1, description="tries of one delivery before giving up")
    first_delay: float = Field(default=0.5, gt=0, description="ceiling of the first delay, seconds")
    max_delay: float = Field(default=30.0, gt=0, description="ceiling of any delay, seconds")
    drain: float = Field(
        default=5.0, ge=0, description="seconds that the end of a run waits for deliveries"
    )
    outbox: Literal["disk", "memory"] = Field(
        default="disk",
        description="where messages wait: disk (a crash loses none) or memory (the newest 1,000)",
    )
    patience: float = Field(
        default=7200.0,
        ge=0,
        description="seconds that a receiver may be down before messages become dead letters",
    )
    outbox_messages: int = Field(
        default=10_000, ge=1, description="messages that may wait on the disk, for one receiver"
    )
    outbox_bytes: int = Field(
        default=64 * 1024 * 1024, ge=1, description="bytes of messages that may wait there"
    )
    full_wait: float = Field(
        default=30.0,
        ge=0,
        description="seconds that a run waits for room there; after that, dead letters",
    )
    fsync: Literal["none", "interval", "always"] = Field(
        default="interval", description="always: a loss of power takes no message either"
    )
    state_home: str = Field(default="", description="the folder for state")


class RecordingOptions(Options):
    """How a recording comes onto the disk. `rotate_size` is in bytes, None: one file for ever."""

    fsync: Literal["none", "interval", "always"] = Field(
        default="interval",
        description="what a loss of power may cost: interval (the last half second), always "
        "(nothing) or none (what the system has not written yet)",
    )
    fsync_interval: float = Field(
        default=0.5, gt=0, description="longest time until a line is put on the disk, seconds"
    )
    fsync_lines: int = Field(default=512, ge=1, description="lines that do not wait for that time")
    rotate_size: int | None = Field(
        default=None,
        ge=64 * 1024,
        description="a file that has grown to this goes on in a new one: 64MiB, 1GB, a number of "
        "bytes",
    )
    compress: Literal["none", "gzip", "zstd"] = Field(
        default="none", description="what is done with a file that --rotate-size has ended"
    )
    on_recording_failure: Literal["continue", "stop"] = Field(
        default="continue",
        description="when a recording cannot be written any more: continue without, or stop the "
        "run before it does anything that is not written down",
    )
