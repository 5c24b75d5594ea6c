"""From a recorded run to its story."""

from pipeline.core.instants import NotATimeError
from pipeline.core.story import Story
from pipeline.core.telling import tell
from pipeline.shell.recordings import RecordedRun, RecordingError


def story_of(run: RecordedRun) -> Story:
    """The story of a run.

    Raises:
        RecordingError: If the run cannot be read, or one of its times is no time.
    """
    try:
        return tell(run.header, run.entries())
    except NotATimeError as exc:
        raise RecordingError(f"{run.path}: {exc}; `lint` names the line") from exc
