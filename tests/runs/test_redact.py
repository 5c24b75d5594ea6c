"""`redact` as people use it: a copy to give away, from a recording that a run made."""

import json
from pathlib import Path

from tests.support.program import run

KEY = "sk-ant-" + "api03-Vx8mT2qLw9"
TOLD = f"echo message=\"use {KEY} for me@example.org\"\necho message='my pin is in-my-env'\n"


async def recorded(folder: Path) -> None:
    sinks = ("--sink", "console", "--sink", "jsonl=run.jsonl")
    assert (await run(*sinks, cwd=folder, stdin=TOLD.encode())).code == 0


async def test_a_recording_is_cleaned_and_the_copy_replays(tmp_path: Path) -> None:
    await recorded(tmp_path)
    before = (tmp_path / "run.jsonl").read_bytes()
    words = ("--secret-env", "PIN", "--pattern", r"[\w.]+@[\w.]+")
    ended = await run(
        *("redact", "run.jsonl", "--out", "clean.jsonl", *words),
        cwd=tmp_path,
        env={"PIN": "in-my-env"},
    )
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("clean.jsonl: 3 secrets taken out\n  [redacted:")
    assert "\nIt replays as the recording does.\n" in ended.out
    assert (tmp_path / "run.jsonl").read_bytes() == before
    told = ended.out + "".join(
        (tmp_path / name).read_text("utf-8")
        for name in ("clean.jsonl", "clean.jsonl.redactions.json")
    )
    assert [word for word in (KEY, "in-my-env", "me@example.org") if word in told] == []
    for check in (("replay", "clean.jsonl", "--check"), ("lint", "clean.jsonl")):
        checked = await run(*check, cwd=tmp_path)
        assert checked.code == 0, checked.out
    again = await run("redact", "run.jsonl", "--out", "clean.jsonl", cwd=tmp_path)
    assert again.code == 2
    assert "there is 'clean.jsonl' already; give --out a free name" in again.words


async def test_a_copy_that_does_not_replay_any_more_has_a_status_of_its_own(tmp_path: Path) -> None:
    await recorded(tmp_path)
    words = ("redact", "run.jsonl", "--out", "clean.jsonl", "--pattern", "tools?/?call|call:c1")
    ended = await run(*words, cwd=tmp_path)
    assert ended.code == 6
    assert "It does not replay any more: event " in ended.out


async def test_the_keys_of_the_settings_are_taken_out_as_well(tmp_path: Path) -> None:
    await recorded(tmp_path)
    env = {"MCP_API_KEY": "me@example.org", "RXMCP_REDACT": "off"}
    ended = await run("redact", "run.jsonl", "--out", "clean.jsonl", cwd=tmp_path, env=env)
    assert ended.code == 0
    assert "a secret of the settings" in ended.out
    assert "me@example.org" not in (tmp_path / "clean.jsonl").read_text("utf-8")


async def test_a_file_that_a_run_writes_to_is_left_alone(tmp_path: Path) -> None:
    from fcntl import LOCK_EX, flock

    await recorded(tmp_path)
    with (tmp_path / "run.jsonl").open("rb") as file:
        flock(file, LOCK_EX)
        ended = await run("redact", "run.jsonl", "--out", "clean.jsonl", cwd=tmp_path)
    assert ended.code == 2
    assert "a run is writing to 'run.jsonl': redact it when that run has ended" in ended.words
    assert not (tmp_path / "clean.jsonl").exists()


async def test_what_a_person_says_of_a_known_key_stays_out_of_the_recording(tmp_path: Path) -> None:
    """Unless it is wished: a tool that is to get the key gets it with `--redact off` only."""
    words = ("call", "echo", "message=it is my-known-key", "--sink", "console", "--sink")
    env = {"MCP_API_KEY": "my-known-key"}
    hidden = await run(*words, "jsonl=one.jsonl", cwd=tmp_path, env=env)
    assert (hidden.code, hidden.out) == (0, "it is [redacted:known:1]\n")
    assert "a prompt holds a secret of this run; it is [redacted:known:1]" in hidden.words
    assert "my-known-key" not in (tmp_path / "one.jsonl").read_text("utf-8")
    shown = await run(*words, "jsonl=two.jsonl", "--redact", "off", cwd=tmp_path, env=env)
    assert (shown.code, shown.out) == (0, "it is my-known-key\n")
    assert "my-known-key" in (tmp_path / "two.jsonl").read_text("utf-8")


async def test_a_run_goes_on_only_where_the_whole_address_is_known(tmp_path: Path) -> None:
    await recorded(tmp_path)
    path = tmp_path / "run.jsonl"
    first, *rest = path.read_text("utf-8").splitlines(keepends=True)
    header = json.loads(first)
    (server,) = header["plan"]["servers"]
    server |= {"name": "far", "url": "http://127.0.0.1:9/s/[redacted:known:1]/sse"}
    path.write_text(json.dumps(header, separators=(",", ":")) + "\n" + "".join(rest), "utf-8")
    ended = await run("resume", "run.jsonl", cwd=tmp_path)
    assert ended.code == 2
    assert "does not hold the whole address of 'far'" in ended.words
