"""What the files beside this one share: the groups of the help page, and common marks of fields."""

from typing import Annotated, Any, TypeAlias

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from config.flags import Variable
from config.options import Options

SERVERS = "Servers"
ACCESS = "Authorization"
ASKED = "What servers may ask of you"
CHAT = "Prompts and the model"
OUTPUT = "Results"
RECORDINGS = "Recordings"
PATIENCE = "Patience"
LIMITS = "Limits"
SCREEN = "Screen"
SERVE = "The server inside (serve)"

SECONDS, SIZE = "SECONDS", "SIZE"
"""What stands for a value in the help page, where it has a unit: errors name that, too."""

TunedText: TypeAlias = Annotated[str, Variable()]
Secret: TypeAlias = Annotated[SecretStr | None, Variable()]
"""A secret has no flag: what stands on a command line, everybody on the machine can read."""


class Fields(BaseSettings):
    """Base of each group of settings. They hold secrets: hand them on as options, never print."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def same(options: type[Options], name: str) -> Any:
    """Default, bounds and description of a field of an option group."""
    return options.model_fields[name]


def seconds(default: float, description: str) -> Any:
    """A time above zero."""
    return Field(default=default, gt=0, description=description)


def count(default: int, description: str, *, least: int = 1) -> Any:
    """A number of things."""
    return Field(default=default, ge=least, description=description)
