"""Settings of prompts and the model."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from config import values
from config.commands import PROMPTED
from config.fields.marks import CHAT, Fields, same
from config.flags import Flag
from config.options import ModelOptions
from config.prices import Price, price_of


class ChatFields(Fields):
    """What is asked of whom, and how far it may go."""

    prompt: Annotated[
        str | None,
        Flag(CHAT, "TEXT", short="-p", variable=None, commands=PROMPTED),
    ] = Field(
        default=None,
        description="one answer, then exit; standard input, if any, is its context",
    )
    model: Annotated[
        str, Flag(CHAT, "NAME", default="claude-sonnet-5-5 with a key, else direct")
    ] = Field(default="direct", min_length=1, description="a Claude model, or direct for none")
    system_prompt: Annotated[str, Flag(CHAT, "TEXT")] = Field(
        default="", description="instructions for the model"
    )
    max_tokens: Annotated[int, Flag(CHAT, "N")] = same(ModelOptions, "max_tokens")
    max_turns: Annotated[int, Flag(CHAT, "N")] = Field(
        default=16, ge=1, description="most model turns for one prompt"
    )
    max_budget_usd: Annotated[float | None, Flag(CHAT, "X")] = Field(
        default=None, gt=0, description="US dollars the run may cost"
    )
    price: Annotated[
        Price | None, BeforeValidator(values.read_price), Flag(CHAT, "INPUT/OUTPUT")
    ] = Field(default=None, description="what the model costs, USD per million tokens")
    allowed_tools: Annotated[
        tuple[str, ...],
        BeforeValidator(values.read_globs),
        Flag(CHAT, "GLOB", is_repeatable=True),
    ] = Field(default=(), description="only these tools; several with commas")
    disallowed_tools: Annotated[
        tuple[str, ...],
        BeforeValidator(values.read_globs),
        Flag(CHAT, "GLOB", is_repeatable=True),
    ] = Field(default=(), description="not these tools; several with commas")

    @property
    def model_price(self) -> Price | None:
        """What the model costs: as told, else as the table knows it, None where neither does."""
        return self.price if self.price is not None else price_of(self.model)
