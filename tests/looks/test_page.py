"""The page as text; `test_page_in_chromium.py` looks at it in a browser."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline.core.commands import Post
from pipeline.core.events import (
    AnswerCompleted,
    PromptSubmitted,
    ServerLogged,
    StreamLost,
    ToolEnded,
)
from pipeline.looks.markup import Markup, element, text
from pipeline.looks.page import page
from sinks.terminal_text import harmless
from tests.support import sample_session
from tests.support.play import finished
from tests.support.sample_session import LOGS, SCRIPT, Script, asked, called, ended, write

EVIL = "</script></title></style><img src=x onerror=alert(1)>\"'><b>&amp;\u202e\u2066\x00"


class Elements(HTMLParser):
    """All elements, and whether each was closed in its place."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def only(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def made(folder: Path, script: Script = SCRIPT) -> Elements:
    elements = Elements(page(write(folder / "r.jsonl", script)))
    assert elements.open == []
    return elements


@pytest.fixture
def sample(tmp_path: Path) -> Elements:
    return made(tmp_path)


def test_it_has_no_script_and_refers_to_nothing(sample: Elements) -> None:
    assert {tag for tag, _ in sample.found}.isdisjoint({"script", "link", "img", "iframe", "base"})
    for _, attributes in sample.found:
        assert not any(name.startswith("on") or name in ("src", "style") for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")


def test_its_policy_allows_its_own_style_alone(tmp_path: Path) -> None:
    html = page(write(tmp_path / "r.jsonl"))
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    (policy,) = [
        each["content"]
        for each in Elements(html).only("meta")
        if each.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def test_headings_go_down_one_step_at_a_time(sample: Elements) -> None:
    assert [tag for tag, _ in sample.found if re.fullmatch(r"h\d", tag)] == [
        "h1",
        "h2",
        "h2",
        "h3",
        "h3",
    ]
    assert sample.only("html") == [{"lang": "en"}]
    assert sample.only("a")[0] == {"href": "#turns", "class": "skip"}


def test_every_link_leads_somewhere_and_every_id_is_there_once(sample: Elements) -> None:
    ids = [attributes["id"] for _, attributes in sample.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [(each["href"] or "").removeprefix("#") for each in sample.only("a")]
    assert set(links) <= set(ids)
    assert len(links) == 17


def test_every_bar_says_what_it_is(sample: Elements) -> None:
    labels = [each["aria-label"] for each in sample.only("a")[1:]]
    assert (
        "search: search ok: checkout: 312 errors between 02:14 and 02:31 (3.00 s, at 3.90 s)"
        in labels
    )
    assert "Turn 2: Revert it. (4.00 s, at 5 min 5 s)" in labels


@pytest.mark.parametrize("place", ["prompt", "answer", "tool", "server", "log", "reason"])
def test_foreign_text_stays_text(tmp_path: Path, place: str) -> None:
    def at(where: str) -> str:
        return EVIL if where == place else "x"

    server = at("server")
    script: Script = [
        (0.0, [PromptSubmitted(text=at("prompt")), asked(1), finished(1, at("answer"))]),
        (0.1, [*called("c1", server, at("tool"), **{at("tool"): at("tool")})]),
        (0.2, [ended("c1", server, at("tool"), at("answer"), structured={"a": at("answer")})]),
        (0.3, [ServerLogged(server=server, level="error", text=at("log"))]),
        (0.4, [StreamLost(server=server, reason=at("reason"))]),
    ]
    plain = [tag for tag, _ in made(tmp_path, script=[
        (seconds, items) for seconds, items in script
    ]).found]  # fmt: skip
    html = page(write(tmp_path / "r.jsonl", script))
    assert "img" not in plain
    assert "b" not in plain
    assert "alert(1)" in html
    assert not re.search("[\u202e\u2066\x00]", html)


def test_all_of_a_call_is_there(tmp_path: Path) -> None:
    again = Post(server=LOGS, url="u", id="call:c1~2", message={})
    script: Script = [
        (0.0, [PromptSubmitted(text="go"), *called("c1", LOGS, "tail", lines=[1, 2]), again]),
        (0.5, [ended("c1", LOGS, "tail", "a result", structured={"rows": 7})]),
        (0.6, [*called("c2", LOGS, "tail"), ToolEnded(
            call="c2", server=LOGS, tool="tail", outcome="not_sent", reason="busy",
        )]),
    ]  # fmt: skip
    words = "".join(made(tmp_path, script).words)
    for part in ('"lines": [', "a result", '"rows": 7', "sent 2 times", "tail not sent: busy"):
        assert part in words, part


def test_many_turns_and_many_steps_are_left_out_in_words(tmp_path: Path) -> None:
    script: Script = [
        (float(n), [PromptSubmitted(text=f"p{n}"), asked(n), AnswerCompleted(text="", turns=1)])
        for n in range(1200)
    ]
    many = [item for n in range(1300) for item in called(f"c{n}", LOGS, "tail")]
    notes = [ServerLogged(server=LOGS, level="error", text="x")] * 1100
    lost = [StreamLost(server=LOGS, reason="x")] * 3
    script.append((2000.0, [PromptSubmitted(text="last"), asked(0), *many, *notes, *lost]))
    page_ = made(tmp_path, script)
    words = "".join(page_.words)
    assert len([each for each in page_.only("details") if each.get("class") == "card turn"]) == 200
    assert "1,001 turns left out here; `show` has them all." in words
    assert "2,204 more steps" in words
    assert "Not drawn: 201 turns, 201 model calls, 300 calls of logs, 100 notes." in words
    assert len("".join(page_.words)) < 1_000_000


def test_many_token_counts_are_thinned_out(tmp_path: Path) -> None:
    used = sample_session.thought(1, sample_session.text("x"), input=5, output=1)[1:]
    script: Script = [(n / 10, used) for n in range(1500)]
    html = page(write(tmp_path / "r.jsonl", script))
    path = re.search(r'<path d="([^"]*)" class="tokens-in"', html)
    assert path is not None
    assert path[1].count("V") < 410
    assert ">9,000</text>" in html


def test_an_empty_run_is_a_page(tmp_path: Path) -> None:
    words = "".join(made(tmp_path, []).words)
    assert "the recording stops after 0 ms, before the end of the run" in words


def test_markup_escapes_children_and_attributes() -> None:
    found = Elements(element("p", EVIL, title=EVIL))
    assert (found.found, "".join(found.words)) == (
        [("p", {"title": harmless(EVIL)})],
        harmless(EVIL),
    )
    assert element("p", Markup("<b>x</b>"), "<", hidden="", id=None) == "<p hidden><b>x</b>&lt;</p>"
    assert element("meta", name="a", x=1.23456789) == '<meta name="a" x="1.2346">'
    assert text("\x1b") == "\\x1b"
