"""What a recorded run waits for at some point: where a bent run takes over."""

from collections.abc import Iterable

import msgspec

from pipeline.bending.clock import MICRO, us_of
from pipeline.bending.script import Said
from pipeline.core.codec import Entry
from pipeline.core.commands import (
    CallModel,
    CancelModel,
    Cut,
    Get,
    Item,
    Open,
    Post,
    ReadPrompt,
    StartTimer,
    StopTimer,
)
from pipeline.core.events import (
    FrameReceived,
    Input,
    InputEnded,
    ModelFailed,
    ModelFinished,
    PostAnswered,
    PromptCancelled,
    RunEnded,
    RunResumed,
    SignInEnded,
    SignInStarted,
    StreamLost,
    StreamOpened,
    TimerFired,
    is_input,
)
from pipeline.core.plan import Plan, ServerPlan
from pipeline.core.session.state import is_accepted
from pipeline.shell.streams import Transport, is_healthy


class Standing(msgspec.Struct):
    """The run after its first entries.

    `began`: the event with which this process of it began; what was asked before is gone.
    `timers`: when each is due (µs). `open`: the servers with a connection, and whether it was of
    use already; `lost`: those whose next one is on its way. `posted` and `thinking`: what nobody
    has answered, and the place of its command. `signing_in`: servers for which credentials are
    being got. `said` counts the person's words; `is_read`: more are waited for; `has_left`: there
    are none.
    """

    servers: tuple[ServerPlan, ...]
    began: int = 0
    us: int = 0
    timers: dict[str, int] = {}
    transports: dict[str, Transport] = {}
    open: dict[str, bool] = {}
    lost: set[str] = set()
    posted: dict[tuple[str, str], int] = {}
    thinking: dict[str, int] = {}
    signing_in: set[str] = set()
    said: int = 0
    is_read: bool = False
    has_left: bool = False
    is_over: bool = False


def standing_after(plan: Plan, entries: Iterable[Entry]) -> Standing:
    """Take the entries before the bend."""
    found = Standing(plan.servers)
    for entry in entries:
        if is_input(entry.item):
            found.us = us_of(entry.at, found.us)
            if isinstance(entry.item, RunResumed):
                # Another process: nothing of what was under way is left but the person's place.
                found = Standing(
                    entry.item.servers,
                    began=entry.seq,
                    us=found.us,
                    said=found.said,
                )
            _on_input(found, entry.item)
        else:
            _on_command(found, entry.seq, entry.item)
    return found


def _on_input(run: Standing, item: Input) -> None:
    match item:
        case TimerFired(id=id_):
            run.timers.pop(id_, None)
        case StreamOpened(server=server):
            run.open[server] = False
            run.lost.discard(server)
        case FrameReceived(server=server) if not item.stream and server in run.open:
            run.open[server] = run.open[server] or is_healthy(item)
        case StreamLost(server=server, retry_in=retry_in):
            run.open.pop(server, None)
            (run.lost.discard if retry_in is None else run.lost.add)(server)
        case SignInStarted(server=server):
            run.signing_in.add(server)
        case SignInEnded(server=server):
            run.signing_in.discard(server)
        case PostAnswered(server=server, id=id_, status=status):
            run.posted.pop((server, id_), None)
            if server in run.open and run.transports.get(server) == "http":
                run.open[server] = run.open[server] or is_accepted(status)
        case ModelFinished(call=call) | ModelFailed(call=call):
            run.thinking.pop(call, None)
        case _ if isinstance(item, Said):
            run.said += 1
            run.has_left = run.has_left or isinstance(item, InputEnded)
            run.is_read = run.is_read and isinstance(item, PromptCancelled)
        case _:
            pass


def _on_command(run: Standing, seq: int, item: Item) -> None:
    match item:
        case StartTimer(id=id_, seconds=seconds):
            run.timers[id_] = run.us + round(seconds * MICRO)
        case StopTimer(id=id_):
            run.timers.pop(id_, None)
        case Open(server=server, transport=transport):
            run.transports[server] = transport
            run.open.pop(server, None)
            run.lost.add(server)
        case Post(server=server, id=id_) | Get(server=server, id=id_):
            run.posted[server, id_] = seq
        case Cut(server=server, id=id_):
            run.posted.pop((server, id_), None)
        case CallModel(call=call):
            run.thinking[call] = seq
        case CancelModel(call=call):
            run.thinking.pop(call, None)
        case ReadPrompt():
            run.is_read = True
        case RunEnded():
            run.is_over = True
        case _:
            pass
