"""The page in a real browser: quiet, alone, and usable without a mouse."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pipeline.core.events import AnswerCompleted, PromptSubmitted, RunEnded, ToolStarted
from pipeline.looks.page import page
from tests.support.chromium import Browser, chromium, find_chromium
from tests.support.sample_session import LOGS, SCRIPT, Script, ended, write

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="chromium is not installed")
EVIL = "</title></style></script><img src=http://evil.example/x onerror=console.error(1)>\u202egnp"
FOCUSED = "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    async with chromium(tmp_path) as each:
        yield each


async def shown(browser: Browser, folder: Path, script: Script = SCRIPT) -> str:
    file = folder / "page.html"
    file.write_text(page(write(folder / "r.jsonl", script)), "utf-8")
    await browser.open(file.as_uri())
    return file.as_uri()


async def test_the_console_is_silent_and_nothing_is_asked_for(
    browser: Browser, tmp_path: Path
) -> None:
    url = await shown(browser, tmp_path)
    for scheme in ("light", "dark"):
        await browser.prefer(scheme)
        await browser.look("document.body.offsetHeight")
    assert browser.complaints == []
    assert browser.requests == [url]


async def test_foreign_markup_is_text(browser: Browser, tmp_path: Path) -> None:
    script: Script = [
        (0.0, [PromptSubmitted(text=EVIL)]),
        (0.1, [ToolStarted(call="c1", server=EVIL, tool=EVIL, arguments={EVIL: EVIL})]),
        (0.2, [ended("c1", EVIL, EVIL, EVIL), AnswerCompleted(text=EVIL, turns=1)]),
        (0.3, [RunEnded(code=1, reason=EVIL)]),
    ]
    url = await shown(browser, tmp_path, script)
    assert await browser.look("document.querySelectorAll('img, script').length") == 0
    assert "onerror=console.error(1)" in await browser.look("document.body.textContent")
    assert await browser.look("document.body.textContent.includes('\\u202e')") is False
    assert (browser.complaints, browser.requests) == ([], [url])


async def test_the_page_itself_forbids_what_escaping_should_prevent(
    browser: Browser, tmp_path: Path
) -> None:
    text = page(write(tmp_path / "r.jsonl"))
    holed = text.replace("</main>", "<img src=x.png><script>document.title='run'</script></main>")
    (tmp_path / "holed.html").write_text(holed, "utf-8")
    await browser.open((tmp_path / "holed.html").as_uri())
    assert (await browser.look("document.title")).startswith("Session")
    assert sum("Content Security Policy" in each for each in browser.complaints) == 2


async def test_it_is_used_with_the_keyboard(browser: Browser, tmp_path: Path) -> None:
    await shown(browser, tmp_path)
    await browser.press("Tab")
    assert await browser.look(FOCUSED) == "Skip to the turns"
    assert await browser.look("document.activeElement.getBoundingClientRect().left") >= 0
    seen: list[str] = []
    while not seen or not seen[-1].startswith("search: "):
        await browser.press("Tab")
        seen.append(await browser.look(FOCUSED))
        assert len(seen) < 40, seen
    assert "search ok: checkout: 312 errors" in seen[-1]
    visible = "getComputedStyle(document.activeElement.querySelector('.tip')).display"
    assert await browser.look(visible) == "block"
    await browser.press("Enter")
    assert await browser.look("document.querySelector(':target').textContent.includes('search')")
    assert browser.complaints == []


async def test_a_bar_opens_the_turn_it_leads_to(browser: Browser, tmp_path: Path) -> None:
    await shown(browser, tmp_path)
    await browser.look("document.querySelectorAll('details').forEach(each => each.open = false)")
    await browser.look("""window.opened = new Promise(done =>
        document.querySelector('#turn-1').addEventListener(
            'toggle', event => event.newState === 'open' && done(true))), null""")
    while not (await browser.look(FOCUSED)).startswith("search: "):
        await browser.press("Tab")
    await browser.press("Enter")
    assert await browser.look("window.opened") is True
    target = await browser.look("document.querySelector(':target').textContent")
    assert "search" in target


async def test_bars_have_a_size_and_lie_within_the_drawing(
    browser: Browser, tmp_path: Path
) -> None:
    await shown(browser, tmp_path)
    await browser.size(1120, 900)
    outside = """(() => {
        const box = document.querySelector('main svg').getBoundingClientRect();
        return [...document.querySelectorAll('main svg a rect')].filter(each => {
            const r = each.getBoundingClientRect();
            return r.width < 2 || r.left < box.left || r.right > box.right || r.bottom > box.bottom;
        }).length})()"""
    assert await browser.look(outside) == 0
    assert await browser.look("document.querySelectorAll('main svg a rect').length") == 11


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_text_can_be_told_from_its_ground(
    browser: Browser, tmp_path: Path, scheme: str
) -> None:
    await shown(browser, tmp_path)
    await browser.prefer(scheme)
    ratio = """(() => {
        const light = color => {
            const [r, g, b] = color.match(/[\\d.]+/g).map(Number).map(v => v / 255)
                .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b};
        const ground = light(getComputedStyle(document.querySelector('.card')).backgroundColor);
        const ratios = [...document.querySelectorAll('.said, .aside, .meta, .who, .pill')]
            .map(each => light(getComputedStyle(each).color))
            .map(ink => (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05));
        return Math.min(...ratios)})()"""
    assert await browser.look(ratio) >= 3.0  # WCAG 2.2, 1.4.11; most are far above


async def test_ten_thousand_events_stay_a_page_of_modest_size(
    browser: Browser, tmp_path: Path
) -> None:
    script: Script = []
    for number in range(2000):
        id_, at = f"c{number}", number * 0.5
        script += [
            (at, [PromptSubmitted(text=f"prompt {number}")]),
            (at + 0.1, [ToolStarted(call=id_, server=LOGS, tool="tail", arguments={"n": number})]),
            (at + 0.3, [ended(id_, LOGS, "tail", "x" * 5000)]),
            (at + 0.4, [AnswerCompleted(text="done", turns=1), AnswerCompleted(text="", turns=0)]),
        ]
    await shown(browser, tmp_path, script)
    assert (tmp_path / "page.html").stat().st_size < 3_000_000
    assert await browser.look("document.querySelectorAll('details.turn').length") == 200
    text = await browser.look("document.body.textContent")
    assert "left out here" in text
    assert "Not drawn: " in text
    assert browser.complaints == []


async def test_the_picture_in_the_docs_can_be_taken(browser: Browser, tmp_path: Path) -> None:
    await shown(browser, tmp_path)
    await browser.size(1120, 1000)
    picture = await browser.screenshot()
    assert picture.startswith(b"\x89PNG")
    # RXMCP_PICTURES=docs/images pytest tests/looks: takes it anew.
    if folder := os.environ.get("RXMCP_PICTURES"):
        (Path(folder) / "session.png").write_bytes(picture)
        await browser.prefer("dark")
        (tmp_path / "dark.png").write_bytes(await browser.screenshot())
