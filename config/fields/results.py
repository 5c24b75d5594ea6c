"""Settings of where results go."""

from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from config import values
from config.commands import RUNS, SENDERS
from config.fields.marks import OUTPUT, SECONDS, SIZE, Fields, Secret, same
from config.flags import Flag
from config.options import WebhookOptions
from config.sizes import read_size
from config.values import SinkWish

_Seconds: TypeAlias = Annotated[float, Flag(OUTPUT, SECONDS, commands=SENDERS, is_detail=True)]
_Count: TypeAlias = Annotated[int, Flag(OUTPUT, "N", commands=SENDERS, is_detail=True)]


class ResultFields(Fields):
    """Sinks, formats and webhooks."""

    sinks: Annotated[
        tuple[SinkWish, ...],
        BeforeValidator(values.read_sinks),
        Flag(OUTPUT, "SINK", "--sink", is_repeatable=True, commands=SENDERS),
    ] = Field(
        default=(SinkWish(kind="console"),),
        description="where results go: console, jsonl=PATH or webhook=URL",
    )
    output_format: Annotated[
        Literal["text", "json", "stream-json"],
        Flag(OUTPUT, "FORMAT", commands=RUNS),
    ] = Field(default="text", description="text, json (an object) or stream-json (an event a line)")
    ignore_tool_error: Annotated[bool, Flag(OUTPUT, commands=("call",))] = Field(
        default=False, description="call: exit with 0 when the tool answers with an error"
    )

    webhook_timeout: _Seconds = same(WebhookOptions, "timeout")
    webhook_attempts: _Count = same(WebhookOptions, "attempts")
    webhook_first_delay: _Seconds = same(WebhookOptions, "first_delay")
    webhook_max_delay: _Seconds = same(WebhookOptions, "max_delay")
    webhook_drain: _Seconds = same(WebhookOptions, "drain")
    webhook_patience: _Seconds = same(WebhookOptions, "patience")
    webhook_outbox: Annotated[
        Literal["disk", "memory"],
        Flag(OUTPUT, "disk|memory", commands=RUNS, is_detail=True),
    ] = same(WebhookOptions, "outbox")
    webhook_outbox_messages: _Count = same(WebhookOptions, "outbox_messages")
    webhook_outbox_bytes: Annotated[
        int,
        BeforeValidator(read_size),
        Flag(OUTPUT, SIZE, commands=SENDERS, is_detail=True),
    ] = same(WebhookOptions, "outbox_bytes")
    webhook_full_wait: _Seconds = same(WebhookOptions, "full_wait")
    webhook_secret: Secret = Field(
        default=None, description="whsec_…, to sign what goes to webhooks"
    )
