"""Settings of how much is taken, held and asked, so that memory and patience have an end."""

from typing import Annotated, TypeAlias

from pydantic import BeforeValidator

from config.fields.marks import LIMITS, SIZE, Fields, count, same
from config.flags import Flag
from config.options import MailboxOptions, ModelOptions, PostOptions, PromptOptions, StreamOptions
from config.sizes import read_size

_Size: TypeAlias = Annotated[int, BeforeValidator(read_size), Flag(LIMITS, SIZE, is_detail=True)]
_Count: TypeAlias = Annotated[int, Flag(LIMITS, "N", is_detail=True)]


class LimitFields(Fields):
    """How much of what: at a limit the client refuses in words, or makes the other side wait."""

    max_event_bytes: _Size = same(StreamOptions, "max_event_bytes")
    max_body_bytes: _Size = same(PostOptions, "max_body_bytes")
    max_answer_bytes: _Size = same(ModelOptions, "max_answer_bytes")
    max_prompt_chars: _Count = same(PromptOptions, "max_chars")
    max_pending_calls: _Count = count(128, "most tool calls under way at once")
    max_queued_prompts: _Count = count(64, "most prompts that wait for their turn")
    max_tools: _Count = count(2000, "most tools, or entries of another list, of one server")
    max_pages: _Count = count(200, "most pages of one list of a server")
    max_questions: _Count = count(16, "most questions of servers that are open at once")
    max_samples: _Count = count(
        16, "most times that servers may have the model answer in a run", least=0
    )
    max_rounds: _Count = count(
        8, "most times that one call may come back to ask for something first", least=0
    )
    mailbox_high: _Count = same(MailboxOptions, "high")
    mailbox_low: _Count = same(MailboxOptions, "low")
    mailbox_max_bytes: _Size = same(MailboxOptions, "max_bytes")

    @property
    def mailbox(self) -> MailboxOptions:
        """Where queues push back."""
        return MailboxOptions(
            high=self.mailbox_high, low=self.mailbox_low, max_bytes=self.mailbox_max_bytes
        )
