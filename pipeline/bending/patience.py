"""How long the recorded run would have waited: its own settings, where its header has them."""

from typing import TypeVar

from pydantic import ValidationError

from config.options import HeartbeatOptions, ModelOptions, Options, PostOptions, RetryOptions
from pipeline.core.codec import Header
from pipeline.core.events import Json
from pipeline.shell.recordings import RecordingError

A = TypeVar("A", bound=Options)


class Patience:
    """The options of a recorded run, for all that is not in its plan.

    Headers of format 1 have no settings: those runs are taken to have had the defaults.

    Raises:
        RecordingError: If a setting is none that this version takes.
    """

    def __init__(self, header: Header) -> None:
        told = header.settings
        self.connect_timeout = header.plan.connect_timeout
        self.retry = _options(RetryOptions, told, "retry_")
        self.heartbeat = _options(HeartbeatOptions, told, "")
        self.post = _options(PostOptions, told, "")
        self.model = _options(ModelOptions, told, "model_")


def _options(kind: type[A], told: Json, prefix: str) -> A:
    found = {name: told[prefix + name] for name in kind.model_fields if prefix + name in told}
    try:
        return kind.model_validate(found)
    except ValidationError as exc:
        name = prefix + str(exc.errors(include_url=False)[0]["loc"][0])
        raise RecordingError(
            f"found {told[name]!r} as {name!r} in the settings of the recording, expected what "
            "this version takes"
        ) from None
