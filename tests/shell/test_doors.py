"""What stands in the mailboxes of the core is what a guard lets pass."""

from config.options import MailboxOptions
from pipeline.core.codec import Entry
from pipeline.core.commands import Post
from pipeline.core.events import ModelFailed, ModelSpoke, PromptSubmitted
from pipeline.core.guard import Guard
from pipeline.shell.doors import DoorIn, DoorOut


def guard() -> Guard:
    return Guard(["known-key"], own={"s": ["known-key"]}, on_hit=lambda _source, _placeholder: None)


async def test_an_input_comes_in_clean_a_moment_later_or_with_others() -> None:
    door = DoorIn(MailboxOptions(), guard())
    door.put(PromptSubmitted(text="a known-key"))
    door.put(ModelSpoke(call="1", text="known"))
    assert len(door) == 1
    failed = ModelFailed(call="1", reason="cut")
    door.put(failed)
    assert await door.take_all() == (
        PromptSubmitted(text="a [redacted:known:1]"),
        ModelSpoke(call="1", text="known"),
        failed,
    )


async def test_a_command_goes_out_with_the_address_that_its_server_knows() -> None:
    door = DoorOut(MailboxOptions(), guard())
    post = Post(server="s", url="http://h/[redacted:known:1]", id="x", message={})
    door.put(Entry(1, "t", post))
    (entry,) = await door.take_all()
    assert isinstance(entry.item, Post)
    assert entry.item.url == "http://h/known-key"
