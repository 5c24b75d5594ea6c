"""The mechanisms that `bench.broken` breaks: where each stands, how it is broken, who must notice.

An entry names the place by its text, which has to stand in its file exactly once.
"""

from typing import NamedTuple


class Mechanism(NamedTuple):
    """`text` in `path` becomes `broken`; one of the `tests` (files below `tests/`) has to fail."""

    promise: str
    path: str
    text: str
    broken: str
    tests: tuple[str, ...]


MECHANISMS = (
    Mechanism(
        "a stream that is silent for too long counts as dead",
        "operators/heartbeat.py",
        "if quiet_ticks > TICKS:",
        "if quiet_ticks > 1000 * TICKS:",
        ("operators/test_heartbeat.py",),
    ),
    Mechanism(
        "a server that accepts and hangs up does not refill the budget of attempts",
        "operators/retry_with_backoff.py",
        "self._is_proven = self.has_delivered and self._is_mature",
        "self._is_proven = True",
        ("operators/test_retry_with_backoff.py",),
    ),
    Mechanism(
        "what a server asks for, in `retry:` or `Retry-After`, has a limit",
        "operators/retry_with_backoff.py",
        "asked = min(options.max_wish, max(0.0, wish))",
        "asked = wish",
        ("operators/test_retry_with_backoff.py",),
    ),
    Mechanism(
        "a call whose answer was lost is made again only if that does no harm",
        "pipeline/core/call_losses.py",
        "return is_wished and call.sends < plan.max_call_sends",
        "return call.sends < plan.max_call_sends",
        ("core/test_calls.py", "faults/test_losses.py"),
    ),
    Mechanism(
        "no id of a message is used twice, also when a call is made again",
        "pipeline/core/call_table.py",
        'return f"{PREFIX}{self.id}" if is_first else f"{PREFIX}{self.id}~{self.messages}"',
        'return f"{PREFIX}{self.id}"',
        ("core/test_calls.py",),
    ),
    Mechanism(
        "a call that reports progress for ever ends at `--call-timeout-max`",
        "pipeline/core/call_table.py",
        "seconds=calls.plan.call_timeout_max)",
        "seconds=1e9)",
        ("core/test_calls.py",),
    ),
    Mechanism(
        "an `endpoint` on another origin is not followed",
        "pipeline/core/session/endpoint.py",
        "if not is_home:",
        "if False:",
        ("core/test_endpoint.py",),
    ),
    Mechanism(
        "a redirect is not followed, so credentials stay at their origin",
        "pipeline/shell/http.py",
        "allow_redirects=False,",
        "allow_redirects=True,",
        ("faults/test_origins.py",),
    ),
    Mechanism(
        "an event that outgrows its limit is an error, not memory",
        "pipeline/core/sse.py",
        "if len(self._tail) + len(chunk) + len(self._data) + self._named > self._limit:",
        "if False:",
        ("core/test_sse.py", "faults/test_content.py"),
    ),
    Mechanism(
        "a full mailbox holds back whoever fills it, down to the socket",
        "pipeline/mailbox.py",
        "self._room.clear()",
        "self._room.set()",
        ("runs/test_mailbox.py", "runs/test_runtime.py"),
    ),
    Mechanism(
        "a mailbox is full at so many bytes, however few items they are",
        "pipeline/mailbox.py",
        "if size < self._options.high and self._weight < self._options.max_bytes:",
        "if size < self._options.high:",
        ("runs/test_mailbox.py", "faults/test_backpressure.py"),
    ),
    Mechanism(
        "nothing is done before it is recorded",
        "pipeline/shell/effects.py",
        "await self._is_written(entry.seq)",
        "await asyncio.sleep(0)",
        ("runs/test_effects.py",),
    ),
    Mechanism(
        "a last line that is not whole is cut off before a run goes on behind it",
        "sinks/recording_file.py",
        "os.ftruncate(self._fd, end)",
        "os.fsync(self._fd)",
        ("sinks/test_jsonl.py",),
    ),
    Mechanism(
        "a write that failed half-way leaves whole lines",
        "sinks/recording_file.py",
        "os.ftruncate(self._fd, size)",
        "os.fsync(self._fd)",
        ("sinks/test_jsonl.py",),
    ),
    Mechanism(
        "a recording has one writer",
        "sinks/recording_open.py",
        "fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)",
        ("sinks/test_jsonl.py",),
    ),
    Mechanism(
        "what a run knows to be secret comes into no event",
        "pipeline/guards.py",
        'is_off=settings.redact == "off"',
        "is_off=True",
        ("runs/test_guards.py", "runs/test_known_secrets.py"),
    ),
    Mechanism(
        "foreign text cannot drive a terminal",
        "config/unseen.py",
        "return UNSEEN.sub(lambda found: escaped(found[0]), text)",
        "return text",
        ("sinks/test_terminal_text.py",),
    ),
    Mechanism(
        "a tool that says other things than were approved is not called",
        "pipeline/core/call_table.py",
        'if call.state == "waiting" and not is_held(calls, call)]',
        'if call.state == "waiting"]',
        ("core/test_pins.py",),
    ),
    Mechanism(
        "a webhook's message is on the disk before it counts as taken",
        "sinks/outbox.py",
        'return self._insert(messages, "", None), self._totals()',
        "return 0, self._totals()",
        ("sinks/test_outbox.py", "sinks/test_webhook_outbox.py"),
    ),
    Mechanism(
        "a message that was delivered is forgotten, and not sent by the next run",
        "sinks/outbox_queue.py",
        "self._marking = self._begin(lambda: self._opened().delivered(message))",
        "self._marking = self._begin(lambda: None)",
        ("sinks/test_webhook_outbox.py",),
    ),
    Mechanism(
        "a call whose message never left is told as not sent",
        "pipeline/core/call_settling.py",
        "return plan.await_posts and is_open and call.task is None",
        "return False",
        ("core/test_call_settling.py",),
    ),
    Mechanism(
        "a sink that hangs is given up at a deadline",
        "pipeline/runtime.py",
        "_, late = await asyncio.wait(writers, timeout=self._shutdown.left())",
        "_, late = await asyncio.wait(writers, timeout=30)",
        ("runs/test_runtime_faults.py",),
    ),
    Mechanism(
        "a session is taken leave of",
        "pipeline/shell/http_farewell.py",
        "if not self._own:",
        "if True:",
        ("shell/test_http_farewell.py",),
    ),
    Mechanism(
        "a process that does not go is killed, with all that it started",
        "pipeline/shell/process.py",
        "os.killpg(self._process.pid, number)",
        "os.kill(self._process.pid, number)",
        ("shell/test_stdio.py",),
    ),
    Mechanism(
        "the end of a process does not wait for who has left it and holds its pipes",
        "pipeline/shell/process.py",
        "    transport.close()\n",
        "",
        ("shell/test_stdio.py",),
    ),
    Mechanism(
        "a process is ended to the last step, however often that is cancelled",
        "pipeline/shell/process.py",
        "await _to_the_end(self.kill())",
        "await self.kill()",
        ("cancelled/test_cancelled_processes.py",),
    ),
)
