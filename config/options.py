"""Frozen option groups, one per room that takes options. Nothing here reads the environment.

Times are seconds. The texts are what `--help` prints.
"""

from pydantic import BaseModel, ConfigDict, Field


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
    first_delay: float = Field(default=0.5, gt=0, description="ceiling of the first delay, seconds")
    max_delay: float = Field(default=30.0, gt=0, description="ceiling of any delay, seconds")
    factor: float = Field(default=2.0, ge=1, description="growth of the ceiling from try to try")
    max_wish: float = Field(
        default=300.0, gt=0, description="longest wait a server may ask for, seconds"
    )
    healthy_after: float = Field(
        default=5.0, ge=0, description="seconds a stream must last to count as healthy again"
    )


class HeartbeatOptions(Options):
    """How long a silent stream is trusted."""

    silence: float = Field(default=45.0, gt=0, description="seconds without a byte, then reconnect")


class MailboxOptions(Options):
    """Where a queue starts pushing back, and where it stops."""

    high: int = Field(default=512, ge=1, description="items that make writers wait")
    low: int = Field(default=128, ge=0, description="items that let them go on")


class StreamOptions(Options):
    """One event stream over HTTP."""

    connect_timeout: float = Field(
        default=10.0, gt=0, description="seconds to connect and be answered"
    )
    max_event_bytes: int = Field(
        default=16 * 1024 * 1024, ge=1024, description="largest event a server may send, bytes"
    )


class PostOptions(Options):
    """Messages to a server."""

    post_timeout: float = Field(default=30.0, gt=0, description="seconds until a POST is answered")
    max_body_bytes: int = Field(
        default=16 * 1024 * 1024, ge=1024, description="largest answer body that is read, bytes"
    )


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
    max_retries: int = Field(default=2, ge=0, description="tries again after 408, 409, 429, 5xx")


class WebhookOptions(Options):
    """Delivery to a webhook."""

    timeout: float = Field(default=20.0, gt=0, description="seconds for one delivery")
    attempts: int = Field(default=6, ge=1, description="tries of one delivery before giving up")
    first_delay: float = Field(default=0.5, gt=0, description="ceiling of the first delay, seconds")
    max_delay: float = Field(default=30.0, gt=0, description="ceiling of any delay, seconds")
    drain: float = Field(
        default=5.0, ge=0, description="seconds that the end of a run waits for deliveries"
    )
