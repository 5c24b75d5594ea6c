"""Settings of deadlines, and of what is tried again. All times are seconds."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from config.fields.marks import PATIENCE, SECONDS, Fields, count, same, seconds
from config.flags import Flag
from config.options import HeartbeatOptions, ModelOptions, PostOptions, RetryOptions, StreamOptions

_Seconds: TypeAlias = Annotated[float, Flag(PATIENCE, SECONDS)]
_Count: TypeAlias = Annotated[int, Flag(PATIENCE, "N")]
_TunedSeconds: TypeAlias = Annotated[float, Flag(PATIENCE, SECONDS, is_detail=True)]
_TunedCount: TypeAlias = Annotated[int, Flag(PATIENCE, "N", is_detail=True)]


class PatienceFields(Fields):
    """How long is waited for what, and how often it is tried."""

    start_timeout: _Seconds = seconds(
        30.0, "seconds until all servers are ready, then without the others"
    )
    connect_timeout: _Seconds = same(StreamOptions, "connect_timeout")
    call_timeout: _Seconds = seconds(
        60.0, "seconds for a tool call, more while it reports progress"
    )
    call_timeout_max: _Seconds = seconds(600.0, "seconds for a tool call in any case")
    post_timeout: _Seconds = same(PostOptions, "post_timeout")
    repeat_calls: Annotated[Literal["safe", "always", "never"], Flag(PATIENCE, "WHEN")] = Field(
        default="safe",
        description="calls that lost their connection are sent again: safe (if the tool says that "
        "this does no harm), always or never",
    )
    silence: _Seconds = same(HeartbeatOptions, "silence")
    retry_attempts: _Count = same(RetryOptions, "attempts")
    retry_total: _Seconds = same(RetryOptions, "total")
    model_first_token: _Seconds = same(ModelOptions, "first_token")
    model_silence: _Seconds = same(ModelOptions, "silence")
    shutdown_timeout: _Seconds = seconds(
        15.0, "seconds for the end: take leave, end processes, write what is left"
    )

    max_call_sends: _TunedCount = count(3, "most times that one call is sent")
    max_resumptions: _TunedCount = count(
        5, "most times that one broken answer, or stream, is taken up again", least=0
    )
    list_pause: _TunedSeconds = seconds(
        1.0, "seconds until a tool list that was read again is read once more"
    )
    max_refusals: _TunedCount = count(
        2, "most times that a message is sent again which a server was too busy to take", least=0
    )
    dialect_grace: _TunedSeconds = seconds(
        0.25, "seconds for a server of the oldest kind to list its tools unasked"
    )
    retry_first_attempts: _TunedCount = same(RetryOptions, "first_attempts")
    retry_first_delay: _TunedSeconds = same(RetryOptions, "first_delay")
    retry_max_delay: _TunedSeconds = same(RetryOptions, "max_delay")
    retry_factor: Annotated[float, Flag(PATIENCE, "X", is_detail=True)] = same(
        RetryOptions, "factor"
    )
    retry_max_wish: _TunedSeconds = same(RetryOptions, "max_wish")
    retry_healthy_after: _TunedSeconds = same(RetryOptions, "healthy_after")
    model_max_retries: _TunedCount = same(ModelOptions, "max_retries")
    model_attempts: _TunedCount = count(
        2, "most times that the model is asked for one turn, if its answer breaks off"
    )

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
