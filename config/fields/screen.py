"""Settings of the screen."""

from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from config.commands import ALL
from config.fields.marks import SCREEN, Fields
from config.flags import Flag

LogLevel: TypeAlias = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


def _upper(word: object) -> object:
    return word.upper() if isinstance(word, str) else word


class ScreenFields(Fields):
    """What a person gets to see."""

    color: Annotated[Literal["auto", "always", "never"], Flag(SCREEN, "WHEN", commands=ALL)] = (
        Field(default="auto", description="auto, always or never; NO_COLOR makes it never")
    )
    quiet: Annotated[bool, Flag(SCREEN, short="-q", commands=ALL)] = Field(
        default=False, description="answers and errors only"
    )
    verbose: Annotated[bool, Flag(SCREEN, short="-v", commands=ALL)] = Field(
        default=False, description="also what happens on the way"
    )
    log_level: Annotated[
        LogLevel | None, BeforeValidator(_upper), Flag(SCREEN, "LEVEL", commands=ALL)
    ] = Field(
        default=None,
        description="logs on standard error from DEBUG, INFO, WARNING or ERROR up",
    )

    @property
    def logs_from(self) -> LogLevel:
        """The level from which logs are shown."""
        if self.log_level is not None:
            return self.log_level
        if self.verbose:
            return "INFO"
        return "ERROR" if self.quiet else "WARNING"
