"""A clean copy of a recording replays as the recording did, and holds no secret."""

import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pipeline.core.codec import Entry, Header, encode_entry, encode_header
from pipeline.core.commands import Passing
from pipeline.core.events import (
    CallSubmitted,
    FrameReceived,
    ModelFinished,
    ModelSpoke,
    ModelThought,
    PostAnswered,
    PromptSubmitted,
    RunStarted,
    StreamLost,
    ToolsChanged,
    is_input,
)
from pipeline.core.plan import Plan
from pipeline.core.redaction import Why
from pipeline.looks.lint import lint
from pipeline.looks.manifest import manifest_path
from pipeline.looks.redact import KNOWN, Redacted, in_words, named_by, redact
from pipeline.migrate import migrate
from pipeline.replay import ReplayOptions, replay
from pipeline.shell.recordings import RecordingError, read_runs
from tests.core.test_core_properties import ANY, PLAN, World
from tests.support.play import Core, a_plan, answered, finished, sse_start, use

ROOT = Path(__file__).resolve().parents[2]
KEPT = sorted((ROOT / "tests" / "recordings").glob("*.jsonl"))
KEY = "sk-ant-" + "api03-Vx8mT2qLw9"
GITHUB = "ghp_" + "1a2B3c4D5e6F7g8H9i0J1k2L3m4N5o6P7q8R"
LIST = b'"kind":"tools_changed"'
AT = "2026-11-24T06:28:23.000001Z"


def lines_of(plan: Plan, *inputs: Passing) -> list[bytes]:
    """The recording of a run in which these inputs came in."""
    core = Core(plan)
    entries = [Entry(seq, AT, item) for seq, item in enumerate(core.feed(*inputs), 1)]  # type: ignore[arg-type]  the last stage lets no internal item out
    header = Header(rxmcp="0.1.0", session="5e55", at=AT, plan=plan)
    return [encode_header(header) + b"\n", *(encode_entry(each) + b"\n" for each in entries)]


def redacted(folder: Path, lines: list[bytes], **wish: Any) -> tuple[Redacted, list[bytes]]:
    path, target = folder / "run.jsonl", folder / "clean.jsonl"
    for each in (path, target, manifest_path(target)):
        each.unlink(missing_ok=True)
    path.write_bytes(b"".join(lines))
    done = redact(path, target, known=wish.pop("known", {}), at=AT, version="0.1.0", **wish)
    return done, target.read_bytes().splitlines(keepends=True)


async def replays(path: Path) -> bool:
    options = ReplayOptions(check=True)
    return all([(await replay(run, [], options)).difference is None for run in read_runs(path)])


def secrets_left(path: Path) -> list[str]:
    return [str(each) for each in lint(path) if each.rule in ("secret", "manifest")]


def a_session(*inputs: Passing, description: str = "") -> list[bytes]:
    tool = {"name": "add", "description": description, "inputSchema": {"type": "object"}}
    return lines_of(a_plan("s"), RunStarted(), *sse_start(tool), *inputs)


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.name)
async def test_a_recording_without_secrets_stays_what_it_is(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "clean.jsonl"
    done = redact(path, target, known={}, at=AT, version="0")
    assert (done.trouble, done.manifest.redactions) == ("", [])
    assert target.read_bytes() == path.read_bytes()
    assert done.manifest.source.sha256 == sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.name)
async def test_words_of_a_real_session_are_taken_out_everywhere_and_it_replays(
    path: Path, tmp_path: Path
) -> None:
    """Any words will do: here those that only the descriptions of tools have."""
    source, target = tmp_path / "run.jsonl", tmp_path / "clean.jsonl"
    migrate(path, source)
    (run,) = read_runs(source)
    tools = [t for e in run.entries() if isinstance(e.item, ToolsChanged) for t in e.item.tools]
    told = set(re.findall(r"\b[A-Za-z]{5,}\b", " ".join(tool.description for tool in tools)))
    others = re.sub(r'"description":"[^"]*"', "", source.read_text("utf-8").replace("\\", ""))
    words = sorted(word for word in told if word not in others)
    done = redact(source, target, known=dict.fromkeys(words, KNOWN), at=AT, version="0")
    text = target.read_text("utf-8")
    left = [word for word in words if re.search(rf"\b{word}\b", text)]
    assert (done.trouble, left) == ("", [])
    assert len(done.manifest.redactions) == len(words) > 0
    assert await replays(target)


async def test_a_secret_is_taken_out_of_inputs_and_outcomes_and_it_replays(tmp_path: Path) -> None:
    result = {"content": [{"type": "text", "text": json.dumps({"token": GITHUB, "n": 1})}]}
    lines = a_session(
        PromptSubmitted(text=f"use {KEY}, and my password=hunter2 too"),
        *[ModelSpoke(call="model:1", text=text) for text in ("I use ", KEY[:8], KEY[8:], ".")],
        finished(1, f"I use {KEY}.", use("t1", "mcp__s__add", key=KEY, password="hunter2")),
        answered("call:c1", result),
        finished(2, f"It gave {GITHUB}"),
        description=f"For example with {KEY}",
    )
    done, clean = redacted(tmp_path, lines)
    text = b"".join(clean).decode()
    assert (KEY in text, GITHUB in text, "hunter2" in text, KEY[8:] in text) == (False,) * 4
    assert done.trouble == ""
    assert await replays(tmp_path / "clean.jsonl")
    assert secrets_left(tmp_path / "clean.jsonl") == []
    names = [each.placeholder for each in done.manifest.redactions]
    by_name = dict(zip(names, (KEY, "hunter2", GITHUB), strict=True))
    restored = text
    for name, secret in by_name.items():
        restored = restored.replace(name, secret)
    kept = [line for line in lines if b'_spoke"' not in line and b'_delta"' not in line]
    assert [line for line in kept if line.decode() not in restored and b"digest" not in line] == []


async def test_what_the_core_makes_of_a_text_is_made_of_the_clean_text(tmp_path: Path) -> None:
    """A text that is cut at 80 characters is cut at another place; a digest is another one."""
    odd = {"content": {"x" * 60: "password=s3cr3t-s3cr3t-s3cr3t-s3cr3t"}}
    lines = a_session(
        PromptSubmitted(text="go"),
        finished(1, use("t1", "mcp__s__add")),
        answered("call:c1", odd),
        description=f"with {KEY}",
    )
    done, clean = redacted(tmp_path, lines)
    ended = json.loads(next(line for line in clean if b'"tool_ended"' in line))
    before = json.loads(next(line for line in lines if b'"tool_ended"' in line))
    assert "password=s3c" in before["reason"]
    assert "password=[red" in ended["reason"]
    digests = {json.loads(line)["tools"][0]["digest"] for line in (*lines, *clean) if LIST in line}
    assert len(digests) == 2
    assert done.trouble == ""
    assert await replays(tmp_path / "clean.jsonl")


async def test_a_secret_that_the_client_acted_upon_is_told(tmp_path: Path) -> None:
    """A number is no number any more, so the call that was made would not be."""
    schema = {"type": "object", "properties": {"pin": {"type": "integer"}}}
    lines = lines_of(
        a_plan("s"),
        RunStarted(),
        *sse_start({"name": "add", "inputSchema": schema}),
        CallSubmitted(tool="add", arguments="pin=1234567890"),
        answered("call:c1", {"content": []}),
    )
    done, clean = redacted(tmp_path, lines, known={"1234567890": KNOWN})
    assert "without the secret the client would do something else" in done.trouble
    assert not done.is_old_trouble
    assert done.manifest.replay == done.trouble
    assert b'"pin=[redacted:known:1]"' in b"".join(clean)
    assert not await replays(tmp_path / "clean.jsonl")
    assert "It does not replay any more: event" in in_words(tmp_path / "clean.jsonl", done)


async def test_what_the_client_makes_of_its_own_is_not_put_back(tmp_path: Path) -> None:
    call = use("t1", "mcp__s__add")
    lines = a_session(PromptSubmitted(text="go"), finished(1, call), answered("call:c1", {}))
    done, clean = redacted(tmp_path, lines, patterns=["call:c1"])
    assert "the client itself makes what was taken out" in done.trouble
    assert b"call:c1" not in b"".join(clean)


async def test_a_recording_that_did_not_replay_is_cleaned_all_the_same(tmp_path: Path) -> None:
    lines = a_session(PromptSubmitted(text=f"use {KEY}"), finished(1, f"I use {KEY}"))
    lines = [
        line.replace(b'"answer_completed","text":"I ', b'"answer_completed","text":"O ')
        for line in lines
    ]
    done, clean = redacted(tmp_path, lines)
    assert "the recording itself does not replay" in done.trouble
    assert done.is_old_trouble
    assert KEY not in b"".join(clean).decode()
    assert "up to event" in in_words(tmp_path / "clean.jsonl", done)


def test_no_digest_of_a_text_with_a_secret_is_left_where_the_core_could_not_run_again(
    tmp_path: Path,
) -> None:
    lines = a_session(PromptSubmitted(text="go"), finished(1, "ok"), description=f"with {KEY}")
    lines = [lines[0], *(line.replace(b'"run_started"', b'"input_ended"') for line in lines[1:])]
    done, clean = redacted(tmp_path, lines)
    assert done.trouble
    old = {tool["digest"] for line in lines for tool in json.loads(line).get("tools", ())}
    assert len(old) == 1
    assert old.pop() not in b"".join(clean).decode()


@pytest.mark.parametrize("broken", [b"nonsense\n", b'{"seq":1,"at":"t","kind":"odd"}\n'])
async def test_a_line_that_cannot_be_read_is_cleaned_too(tmp_path: Path, broken: bytes) -> None:
    lines = [*a_session(PromptSubmitted(text=KEY)), broken, f"{{{KEY}\n".encode(), b"\xff\n"]
    done, clean = redacted(tmp_path, lines)
    assert "the line behind it cannot be read" in done.trouble
    assert clean[-3:] == [broken, b"{[redacted:anthropic-key:1]\n", b"\xff\n"]


def test_all_runs_of_a_file_are_cleaned_and_a_torn_tail_stays_behind(tmp_path: Path) -> None:
    run = a_session(PromptSubmitted(text=f"use {KEY}"))
    done, clean = redacted(tmp_path, [*run, *run, f'{{"seq":99,"a":"{KEY}'.encode()])
    assert len(clean) == 2 * len(run)
    assert clean[: len(run)] == clean[len(run) :]
    assert KEY not in b"".join(clean).decode()
    places = done.manifest.redactions[0].places
    assert max(at.line for at in places) > len(run)


def test_a_run_of_an_older_format_is_cleaned_in_its_format(tmp_path: Path) -> None:
    lines = a_session(PromptSubmitted(text=f"use {KEY}"))
    old = [line.replace(b'"format":2', b'"format":1') for line in lines]
    assert old[0] != lines[0]
    done, clean = redacted(tmp_path, old)
    assert clean == [line.replace(KEY.encode(), b"[redacted:anthropic-key:1]") for line in old]
    assert done.trouble == ""


def test_an_outcome_of_an_older_format_is_not_made_anew(tmp_path: Path) -> None:
    odd = {"content": {"x" * 60: "password=s3cr3t-s3cr3t-s3cr3t-s3cr3t"}}
    call = use("t1", "mcp__s__add")
    lines = a_session(PromptSubmitted(text="go"), finished(1, call), answered("call:c1", odd))
    lines = [line.replace(b'"format":2', b'"format":1') for line in lines]
    done, _ = redacted(tmp_path, lines)
    assert "in an old format; migrate it first" in done.trouble
    assert not done.is_old_trouble


@pytest.mark.parametrize(
    ("pattern", "trouble"),
    [
        ("^chat$", "event 0: the header cannot be read without what was taken out"),
        ("^end_turn$", "it cannot be read without what was taken out"),
    ],
)
def test_a_pattern_that_takes_out_what_a_line_needs_is_told(
    tmp_path: Path, pattern: str, trouble: str
) -> None:
    lines = a_session(PromptSubmitted(text="go"), finished(1, stop="refusal"))
    lines = [line.replace(b'"refusal"', b'"end_turn"') for line in lines]
    done, _ = redacted(tmp_path, lines, patterns=[pattern])
    assert trouble in done.trouble
    assert not done.is_old_trouble


def test_the_manifest_tells_all_but_the_secrets(tmp_path: Path) -> None:
    lines = a_session(
        PromptSubmitted(text=f"use {KEY} {KEY}"),
        *[ModelSpoke(call="model:1", text=text) for text in (KEY[:8], KEY[8:])],
    )
    done, clean = redacted(tmp_path, lines, known={"a given one": named_by("X")})
    path = manifest_path(tmp_path / "clean.jsonl")
    assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "clean.jsonl").stat().st_mode & 0o777 == 0o600
    text = path.read_text("utf-8")
    assert KEY[8:] not in text
    told = json.loads(text)
    assert told["kind"] == "redactions"
    assert told["source"]["sha256"] == sha256(b"".join(lines)).hexdigest()
    assert told["clean"]["sha256"] == sha256(b"".join(clean)).hexdigest()
    (redaction,) = told["redactions"]
    assert (redaction["rule"], redaction["length"]) == ("anthropic-key", len(KEY))
    numbers = {json.loads(line).get("kind"): at for at, line in enumerate(clean, 1)}
    assert {
        "line": numbers["prompt_submitted"],
        "path": ".text",
        "seq": numbers["prompt_submitted"] - 1,
    } in redaction["places"]
    rests = [at for at in redaction["places"] if at.get("is_rest")]
    assert [at["line"] for at in rests] == [numbers["model_spoke"], numbers["answer_delta"]]
    assert redaction["count"] == len(redaction["places"]) - len(rests)
    assert done.manifest.replay == ""


def test_a_digest_of_the_source_is_not_told_where_a_secret_could_be_guessed(tmp_path: Path) -> None:
    lines = a_session(PromptSubmitted(text="password=hunter2 it is"))
    done, clean = redacted(tmp_path, lines)
    assert done.manifest.source.sha256 is None
    digest = sha256(b"".join(lines)).hexdigest()
    assert digest not in manifest_path(tmp_path / "clean.jsonl").read_text("utf-8")
    assert done.manifest.clean.sha256 == sha256(b"".join(clean)).hexdigest()


def test_what_was_done_is_told_in_words_that_are_harmless(tmp_path: Path) -> None:
    lines = a_session(PromptSubmitted(text=f"use {KEY} and s3same"))
    done, _ = redacted(tmp_path, lines, known={"s3same": Why("given", "--secret-env \x1bX")})
    words = in_words(tmp_path / "clean.jsonl", done)
    assert words.splitlines()[:3] == [
        "clean.jsonl: 2 secrets taken out",
        r"  [redacted:anthropic-key:1]  anthropic-key       2 places",
        r"  [redacted:given:1]          --secret-env \x1bX  2 places",
    ]
    assert KEY not in words


def test_nothing_that_is_there_is_written_over(tmp_path: Path) -> None:
    path, target = tmp_path / "run.jsonl", tmp_path / "clean.jsonl"
    path.write_bytes(b"".join(a_session()))
    for there in (target, manifest_path(target)):
        there.write_text("mine")
        with pytest.raises(RecordingError, match=rf"there is '.*{there.name}' already"):
            redact(path, target, known={}, at=AT, version="0")
        assert there.read_text() == "mine"
        there.unlink()
        assert [each.name for each in tmp_path.iterdir()] == ["run.jsonl"]


@pytest.mark.parametrize("content", [b"", b"hello\n"])
def test_what_cannot_be_read_leaves_nothing_behind(tmp_path: Path, content: bytes) -> None:
    path, target = tmp_path / "run.jsonl", tmp_path / "clean.jsonl"
    with pytest.raises(RecordingError, match="cannot read"):
        redact(path, target, known={}, at=AT, version="0")
    path.write_bytes(content)
    with pytest.raises(RecordingError):
        redact(path, target, known={}, at=AT, version="0")
    with pytest.raises(RecordingError, match="cannot write"):
        redact(path, tmp_path / "no" / "clean.jsonl", known={}, at=AT, version="0")
    assert [each.name for each in tmp_path.iterdir()] == ["run.jsonl"]


def test_a_pattern_that_never_ends_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.looks.patterns.SECONDS", 0.05)
    path, target = tmp_path / "run.jsonl", tmp_path / "clean.jsonl"
    path.write_bytes(b"".join(a_session(PromptSubmitted(text="a" * 64 + "!"))))
    with pytest.raises(RecordingError, match="--pattern 1 searched a text of 65 characters"):
        redact(path, target, known={}, patterns=[r"^(a+)+$"], at=AT, version="0")
    assert [each.name for each in tmp_path.iterdir()] == ["run.jsonl"]


# --- random sessions --------------------------------------------------------------------------

SALT = st.sampled_from(
    [KEY, GITHUB, "password=hunter2", f'{{"token": "{GITHUB}"}}', f"Bearer {KEY}", "plain", "né\n"]
)


def salted(item: Passing, word: str) -> Passing:
    """The item with a secret in what it says."""
    match item:
        case PromptSubmitted(text=text):
            return replace(item, text=f"{text} {word}")
        case ModelSpoke(text=text) | ModelThought(text=text):
            return replace(item, text=f"{text} {word}"[: len(word)])
        case ModelFinished(content=content):
            blocks = [{**b, "text": f"{b['text']} {word}"} if "text" in b else b for b in content]
            return replace(item, content=tuple(blocks))
        case FrameReceived(data=data) if '"5"' in data:
            return replace(item, data=data.replace('"5"', json.dumps(f"5 {word}")))
        case FrameReceived(event="error"):
            return replace(item, data=json.dumps(f"no {word}"))
        case PostAnswered(status=int() as status) if status >= 400:
            return replace(item, body=f"{'x' * 190} {word}")
        case StreamLost():
            return replace(item, reason=f"it says {word!r}")
        case _:
            return item


@settings(max_examples=60, deadline=None)
@given(ANY, st.lists(SALT, min_size=1, max_size=4), st.data())
def test_a_random_session_with_secrets_becomes_a_clean_one_that_replays(
    tmp_path_factory: pytest.TempPathFactory, world: World, words: list[str], data: st.DataObject
) -> None:
    inputs = [salted(item, data.draw(st.sampled_from(words))) for item, _ in world.steps]
    folder = tmp_path_factory.mktemp("random")
    lines = lines_of(PLAN, *inputs)
    done, clean = redacted(folder, lines)
    assert done.trouble == ""
    assert len(clean) == len(lines)
    text = b"".join(clean).decode()
    assert (KEY in text, GITHUB in text) == (False, False)
    assert secrets_left(folder / "clean.jsonl") == []
    # By an independent way: the clean inputs lead to the clean outcomes, to the byte.
    (run,) = read_runs(folder / "clean.jsonl")
    again = [entry.item for entry in run.entries() if is_input(entry.item)]
    assert lines_of(run.header.plan, *again)[1:] == clean[1:]
    # And a clean recording stays as it is.
    once_more, same = redacted(folder, clean)
    assert (same, once_more.manifest.redactions) == (clean, [])
