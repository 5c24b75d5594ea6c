"""The command `outbox`: what webhooks did not take, to look at, to send once more, to forget."""

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from config.options import WebhookOptions
from config.settings import Settings
from config.streams import write
from pipeline.looks import words
from sinks.outbox import DeadLetter, Outbox, Totals
from sinks.outbox_place import SUFFIX, OutboxError, outbox_folder, outbox_path
from sinks.outbox_queue import OutboxQueue
from sinks.outbox_share import limits_of, open_share
from sinks.standard_webhooks import read_secret
from sinks.terminal_text import one_line
from sinks.webhook import open_http
from sinks.webhook_courier import NO_TIME, Courier
from sinks.webhook_post import tagged
from sinks.webhook_queue import Count
from sinks.webhook_sender import send_all
from sinks.webhook_times import Times

_FAILED = 1


class _Kind(msgspec.Struct):
    type: str = "?"


async def outbox(settings: Settings) -> int:
    """`outbox list|send|drop`: 0; 1 if an outbox cannot be used, or not all could be sent.

    `send` and `drop` are for the webhooks of the settings: an outbox does not know its address.
    `list` is for those, or for all there are.

    Raises:
        OutboxError: If the user has no home, or the secret to sign with has another form.
    """
    urls = [wish.target for wish in settings.sinks if wish.kind == "webhook"]
    folder = outbox_folder(settings.webhook.state_home)
    match settings.outbox_action:
        case "list":
            paths = [outbox_path(folder, url) for url in urls] or sorted(folder.glob(f"*{SUFFIX}"))
            return await asyncio.to_thread(_list, paths, settings)
        case "send":
            return max([await _send(folder, url, settings) for url in urls])
        case "drop":
            return await asyncio.to_thread(_drop, folder, urls, settings.webhook)


def _list(paths: Sequence[Path], settings: Settings) -> int:
    code, is_empty = 0, True
    for path in paths:
        if not path.exists():
            continue
        try:
            with Outbox(path, "", limits_of(settings.webhook)) as box:
                totals, shown, dead = box.totals(), box.shown, box.dead_letters()
        except OutboxError as exc:
            _tell(str(exc))
            code = _FAILED
            continue
        if not totals.waiting and not totals.dead:
            continue
        is_empty = False
        _say(f"{shown}: {_in_words(totals)}")
        for letter in dead:
            _say(f"  {_line(letter)}")
            if settings.verbose:
                _say(f"    {letter.message.body.decode()}")
    if is_empty and not code:
        _say(_NOTHING)
    return code


async def _send(folder: Path, url: str, settings: Settings) -> int:
    """Have dead letters wait again, and send all that no other run sends; an outage ends it."""
    path, options, tally = outbox_path(folder, url), settings.webhook, _Tally()
    if not path.exists():
        _say(f"{tagged(url)}: {_NOTHING}")
        return 0
    key = _key(settings)
    queue = OutboxQueue(
        full_wait=0.0, on_trouble=_tell, on_given_up=tally.given_up, clock=time.time
    )
    try:
        await queue.open(lambda: open_share(url, options, None, revives=True))
    except OutboxError as exc:
        _tell(str(exc))
        return _FAILED
    queue.close()
    async with open_http() as http:
        courier = Courier(
            http,
            url,
            options,
            key=key,
            is_patient=lambda: True,
            on_down=_tell,
            times=Times(),
        )
        courier.hurry()  # an outage is not waited for: who asked can ask again
        try:
            await send_all(queue, courier, tally)
        finally:
            await queue.release()
    with Outbox(path, "", limits_of(options)) as box:
        totals = box.totals()
    sent = f"{tagged(url)}: {words.count(tally.sent, 'message')} delivered"
    if not totals.waiting and not totals.dead:
        _say(sent)
        return 0
    why = tally.reason or courier.reason
    _say(f"{sent}; {_in_words(totals)}: {'another run sends them' if why == NO_TIME else why}")
    return _FAILED


def _key(settings: Settings) -> bytes | None:
    secret = settings.webhook_secret
    try:
        return None if secret is None else read_secret(secret.get_secret_value())
    except ValueError as exc:
        raise OutboxError(str(exc)) from exc


def _drop(folder: Path, urls: Sequence[str], options: WebhookOptions) -> int:
    code = 0
    for url in urls:
        path, dropped = outbox_path(folder, url), 0
        try:
            if path.exists():
                with Outbox(path, "", limits_of(options)) as box:
                    dropped = box.drop()
        except OutboxError as exc:
            _tell(str(exc))
            code = _FAILED
        else:
            _say(f"{tagged(url)}: {words.count(dropped, 'dead letter')} dropped")
    return code


class _Tally:
    """Counts what was delivered; what was given up is a dead letter again, and counted there."""

    def __init__(self) -> None:
        self.sent = 0
        self.reason = ""

    def delivered(self) -> None:
        self.sent += 1

    def idle(self) -> None:
        """It is at its end."""

    def given_up(self, count: Count, reason: str) -> None:
        self.reason = reason
        if count.lost:
            _tell(f"{words.count(count.lost, 'dead letter')} dropped: {reason}")

    def gone(self, reason: str) -> None:
        _tell(f"the receiver wants nothing more ({reason})")


_NOTHING = "nothing waits, and there are no dead letters"


def _in_words(totals: Totals) -> str:
    waiting = f"{words.count(totals.waiting, 'message')} waiting" if totals.waiting else ""
    dead = words.count(totals.dead, "dead letter") if totals.dead else ""
    return ", ".join(filter(None, (waiting, dead)))


def _line(letter: DeadLetter) -> str:
    try:
        kind = msgspec.json.decode(letter.message.body, type=_Kind).type
    except msgspec.DecodeError:
        kind = "?"
    return f"{letter.message.id}  {kind}  {letter.died}  {letter.reason}"


def _say(line: str) -> None:
    write(sys.stdout, f"{one_line(line)}\n")


def _tell(text: str) -> None:
    write(sys.stderr, f"! {one_line(text)}\n")
