"""What servers have beside tools, and what they ask for, with servers as they are."""

import asyncio
import json
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.core.commands import Ask
from pipeline.core.events import (
    AnswerCompleted,
    Input,
    Json,
    ModelFinished,
    QuestionAnswered,
    QuestionAsked,
    QuestionClosed,
    RequestEnded,
    RequestSubmitted,
    RunEnded,
    ToolEnded,
    Usage,
)
from tests.support.in_process import QUICK, Lines, Played, playing
from tests.support.messages_api import MessagesApi, Reply, Request, say, turn, use
from tests.support.program import run
from tests.support.real_servers import Real, asking, config_of, kill_child, npm, started

ADDRESS = "card://{occasion}"
CARD = "card://birthday"


class Person(Lines):
    """Prompts, and what somebody answers to each question that comes; in the end nothing more."""

    def __init__(self, prompts: Sequence[str | Input], *answers: QuestionAnswered) -> None:
        super().__init__(prompts)
        self._answers = iter(answers)

    async def ask(self, question: str) -> QuestionAnswered:
        given = next(self._answers, None)
        if given is None:
            await asyncio.Event().wait()
        assert given is not None
        return QuestionAnswered(question=question, action=given.action, content=given.content)


def accept(content: Json | None = None) -> QuestionAnswered:
    return QuestionAnswered(question="", action="accept", content=content or {})


SERVERS = {
    "stdio": lambda: Real("asking", command=asking("stdio")),
    "http": lambda: Real("asking", serve=asking("http", "PORT"), ready="Uvicorn running"),
}
EVERYTHING = {
    "stdio": lambda: Real("everything", command=npm("server-everything", "stdio")),
    "http": lambda: Real(
        "everything", serve=npm("server-everything", "streamableHttp"), environ={"PORT": "PORT"}
    ),
}


@contextmanager
def reachable(real: Real, folder: Path) -> Generator[tuple[str, ...]]:
    """The words of the command line that name it."""
    if real.command:
        yield ("--mcp-config", config_of({real.name: real}))
    else:
        with started(real, folder) as url:
            yield ("--mcp-config", config_of({real.name: url}))


@pytest.fixture(scope="module", params=SERVERS)
def modern(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, ...]]:
    """A server of 2026-07-28, which asks by its answers."""
    with reachable(SERVERS[request.param](), tmp_path_factory.mktemp("modern")) as at:
        yield at


@pytest.fixture(scope="module", params=EVERYTHING)
def legacy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, ...]]:
    """A server of 2025-11-25, which asks by requests of its own."""
    with reachable(EVERYTHING[request.param](), tmp_path_factory.mktemp("legacy")) as at:
        yield at


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (("prompts",), "letter\n    A letter to somebody; the server asks to whom.\n"),
        (("prompt", "letter", "--answer", "name=Ann"), "user: Write to Ann.\n"),
        (("read", CARD, "--answer", "name=Ann"), "birthday, Ann!"),
        (("complete", ADDRESS, "occasion=b"), "birthday\n"),
        (
            ("call", "book", "city=Rome", "--answer", "nights=3"),
            "Rome, 3 nights, breakfast: True\n",
        ),
        (("call", "folders", "--root", "."), "file://{here}\n"),
    ],
)
async def test_what_a_server_asks_for_is_answered_by_the_command_line(
    modern: tuple[str, ...], words: tuple[str, ...], out: str, tmp_path: Path
) -> None:
    sinks = ("--sink", "console", "--sink", "jsonl=run.jsonl")
    asked = words[0] in ("prompt", "read", "call")
    ended = await run(*modern, *words, *(sinks if asked else ()), cwd=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.rstrip("\n") == out.format(here=tmp_path).rstrip("\n")
    if asked:
        checked = await run("replay", "run.jsonl", "--check", cwd=tmp_path)
        assert checked.code == 0, checked.err


async def test_a_question_that_nobody_answers_is_told_and_is_no_success(
    modern: tuple[str, ...], tmp_path: Path
) -> None:
    ended = await run(*modern, "read", CARD, cwd=tmp_path)
    assert (ended.code, ended.out) == (1, "")
    assert "this client offers no 'elicitation/create'" in ended.words


@pytest.fixture
async def api(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MessagesApi]:
    """A model that uses the tool it is told to, then says so; to a server it says "Eternal."."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")

    def answer(asked: Request) -> Reply:
        body = asked.body
        if "tools" not in body:
            return turn(say("Eternal."))
        (said,) = body["messages"][-1]["content"]
        name, _, arguments = str(said.get("text", "")).partition(" ")
        return turn(use(name, json.loads(arguments)) if name.startswith("mcp__") else say("done"))

    async with MessagesApi(answer) as served:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", served.url)
        yield served


async def chat(at: tuple[str, ...], person: Lines, *words: str) -> Played:
    argv = (*at, "--model", "claude-test", *words)
    async with playing(*argv, lines=person, is_interactive=True) as under_way:
        return await under_way.ended()


async def test_a_person_fills_in_the_form_of_a_tool_that_the_model_uses(
    modern: tuple[str, ...], api: MessagesApi
) -> None:
    person = Person(['mcp__asking__book {"city": "Rome"}'], accept({"nights": 2}))
    played = await chat(modern, person)
    assert played.ended == RunEnded(code=0)
    asked, closed = played.one(QuestionAsked), played.one(QuestionClosed)
    assert (asked.message, closed.action) == ("How long in Rome?", "accept")
    assert "Rome, 2 nights" in json.dumps(played.one(ToolEnded).content)
    assert "Rome, 2 nights" in json.dumps(api.requests[-1].body["messages"][-1])


async def test_a_model_answers_a_server_if_a_person_lets_it(
    modern: tuple[str, ...], api: MessagesApi
) -> None:
    person = Person(['mcp__asking__advertise {"city": "Rome"}'], accept())
    played = await chat(modern, person)
    assert played.ended == RunEnded(code=0)
    assert "Rome: Eternal." in json.dumps(played.one(ToolEnded).content)
    (sampled,) = [each.body for each in api.requests if "tools" not in each.body]
    assert (sampled["system"], sampled["max_tokens"]) == ("Be brief.", 50)
    assert len(played.only(ModelFinished)) == len(played.only(Usage)) == 3
    assert played.one(AnswerCompleted).text == "done"


async def test_who_says_no_is_heard(modern: tuple[str, ...], api: MessagesApi) -> None:
    declined = QuestionAnswered(question="", action="decline")
    person = Person(['mcp__asking__book {"city": "Rome"}'], declined)
    played = await chat(modern, person)
    assert played.ended == RunEnded(code=0)
    assert played.one(ToolEnded).outcome == "answered"
    assert played.one(ToolEnded).is_error
    assert len(api.requests) == 2


async def test_a_prompt_of_a_server_that_asks_is_answered_by_the_model(
    modern: tuple[str, ...], api: MessagesApi
) -> None:
    wish = RequestSubmitted(method="prompts/get", params={"name": "letter"}, into_chat=True)
    played = await chat(modern, Person([wish], accept({"name": "Ann"})))
    assert played.ended == RunEnded(code=0)
    assert played.one(RequestEnded).outcome == "answered"
    (request,) = api.requests
    assert "Write to Ann." in json.dumps(request.body["messages"])
    assert played.one(AnswerCompleted).text == "done"


async def test_a_server_of_today_asks_a_person_and_the_model(
    legacy: tuple[str, ...], api: MessagesApi
) -> None:
    prompts = (
        "mcp__everything__trigger-elicitation-request {}",
        'mcp__everything__trigger-sampling-request {"prompt": "Say it.", "maxTokens": 20}',
    )
    filled = {"name": "Ann", "integer": 7, "titledMultipleSelectEnum": ["fish-2"]}
    played = await chat(legacy, Person(prompts, accept(filled), accept()))
    assert played.ended == RunEnded(code=0)
    assert [asked.form for asked in played.only(QuestionAsked)] == ["form", "sample"]
    assert [closed.action for closed in played.only(QuestionClosed)] == ["accept", "accept"]
    form, sample = (json.dumps(ended.content) for ended in played.only(ToolEnded))
    assert "Name: Ann" in form
    assert "Favorite Integer: 7" in form
    assert "Eternal." in sample


@pytest.mark.parametrize(
    ("words", "code", "out"),
    [
        (("resources",), 0, "demo://resource/dynamic/text/{resourceId} (text/plain)\n"),
        (("prompts",), 0, "args-prompt city=… [state=…]\n"),
        (("prompt", "args-prompt", "city=Rome"), 0, "user: What's weather in Rome?\n"),
        (("complete", "completable-prompt", "department=E"), 0, "Engineering\n"),
        (("read", "demo://resource/static/document/features.md"), 0, "# Everything Server"),
        (("read", "nothing://here"), 1, ""),
        (("prompt", "args-prompt"), 1, ""),
    ],
)
async def test_what_a_server_of_today_has_is_shown(
    legacy: tuple[str, ...], words: tuple[str, ...], code: int, out: str, tmp_path: Path
) -> None:
    ended = await run(*legacy, *words, cwd=tmp_path)
    assert (ended.code, out in ended.out) == (code, True)
    assert bool(ended.words) == bool(code)
    assert bool(ended.out) != bool(code)


async def test_a_script_reads_json(legacy: tuple[str, ...], tmp_path: Path) -> None:
    ended = await run(*legacy, "resources", "--json", cwd=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    resources, templates = (json.loads(line) for line in ended.out.splitlines())
    assert (resources["server"], resources["method"]) == ("everything", "resources/list")
    assert len(resources["result"]["resources"]) == 7
    assert len(templates["result"]["resourceTemplates"]) == 2


async def test_a_server_that_dies_takes_its_question_along_and_the_chat_goes_on(
    api: MessagesApi, tmp_path: Path
) -> None:
    person = Person(["mcp__everything__trigger-elicitation-request {}", "go on"])
    with reachable(EVERYTHING["stdio"](), tmp_path) as at:
        argv = (*at, "--model", "claude-test", "--repeat-calls", "never")
        async with playing(*argv, lines=person, env=QUICK, is_interactive=True) as under_way:
            await under_way.saw(Ask)
            kill_child("server-everything", "stdio")
            played = await under_way.ended()
    assert played.ended == RunEnded(code=0)
    assert played.one(QuestionClosed).action == "cancel"
    assert played.one(ToolEnded).outcome == "unknown"
    assert len(played.only(AnswerCompleted)) == 2
