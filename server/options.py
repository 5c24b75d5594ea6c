"""What the reference server can be told. All times are seconds, all sizes bytes."""

import msgspec

_MIB = 1024 * 1024
_MAX_PORT = 65_535
_MIN_QUEUE_BYTES = 16 * 1024
_MIN_QUEUE_EVENTS = 8


class ServerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where the server listens, who may call it, and its limits.

    Raises:
        ValueError: When a value cannot work; the message says what was found and expected.
    """

    host: str = "127.0.0.1"
    port: int = 0
    """0 asks the system for a free port."""
    api_key: str | None = None
    """None lets everybody in who reaches the port."""
    folder: str = "."
    """What `search_text` may look at."""
    heartbeat: float = 15.0
    """A comment goes out after this much silence on a stream."""
    idle_timeout: float = 3600.0
    """A session that asks nothing for so long, with no call running, is ended."""
    write_timeout: float = 60.0
    """A client that takes no byte for so long is cut off."""
    body_timeout: float = 10.0
    """A request body must be complete by then."""
    shutdown_timeout: float = 3.0
    max_sessions: int = 64
    max_calls: int = 32
    """Calls running at the same time in one session."""
    max_body_bytes: int = _MIB
    max_queue_bytes: int = 4 * _MIB
    """What may wait for one slow client; above it, the client is cut off."""
    max_queue_events: int = 4096
    page_size: int = 0
    """Tools on one page of `tools/list`; 0 means all at once."""
    echo_ids: bool = True
    """Seed dialect: False answers without the request's id, as the origin does."""

    def __post_init__(self) -> None:
        """Say no at the door."""
        if not 0 <= self.port <= _MAX_PORT:
            raise ValueError(f"port: found {self.port!r}, expected 0 to {_MAX_PORT}")
        if self.api_key is not None and not _is_token(self.api_key):
            raise ValueError(
                "api_key: found text that no HTTP header can carry, expected one or more visible "
                "ASCII characters without spaces; to serve without a key, leave it out"
            )
        for name in ("heartbeat", "idle_timeout", "write_timeout", "body_timeout"):
            _positive(name, getattr(self, name))
        _positive("shutdown_timeout", self.shutdown_timeout)
        for name in ("max_sessions", "max_calls", "max_body_bytes"):
            _positive(name, getattr(self, name))
        # The first events of a stream must fit, or no session could ever begin.
        _at_least("max_queue_bytes", self.max_queue_bytes, _MIN_QUEUE_BYTES)
        _at_least("max_queue_events", self.max_queue_events, _MIN_QUEUE_EVENTS)
        _at_least("page_size", self.page_size, 0)


def _positive(name: str, value: float) -> None:
    if not 0 < value < float("inf"):
        raise ValueError(f"{name}: found {value!r}, expected a number above 0")


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(f"{name}: found {value!r}, expected {least} or more")


def _is_token(text: str) -> bool:
    return text != "" and all("!" <= character <= "~" for character in text)
