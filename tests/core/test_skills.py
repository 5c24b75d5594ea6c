"""Files of skills are what the list promises, or they are not used."""

from hashlib import sha256
from typing import Any

import pytest

from pipeline.core.events import Json
from pipeline.core.skills import File, files_of, problem_with

PAGE = "skill://pdf/SKILL.md"
FORMS = "skill://pdf/FORMS.md"
TEXT = "---\nname: pdf\ntags: [a, b]\n---\nBody\n"
ABOUT = {"name": "pdf", "tags": ["a", "b"]}


def digest(text: str) -> str:
    return f"sha256:{sha256(text.encode()).hexdigest()}"


def listed(**more: Any) -> Json:
    file = {"uri": PAGE, "digest": digest(TEXT), "size": len(TEXT), **more}
    other = {"uri": FORMS, "digest": digest("x")}
    return {"skills": [{"uri": PAGE, "frontmatter": ABOUT, "resources": [file, other]}]}


def read(text: str, uri: str = PAGE) -> Json:
    return {"contents": [{"uri": uri, "text": text}]}


def test_the_list_says_what_each_file_must_be() -> None:
    assert files_of(listed()) == {
        PAGE: File(skill=PAGE, digest=digest(TEXT), size=len(TEXT), frontmatter=ABOUT),
        FORMS: File(skill=PAGE, digest=digest("x")),
    }


@pytest.mark.parametrize(
    "odd", [{}, {"skills": 1}, {"skills": [1, {}, {"uri": PAGE}, {"uri": PAGE, "resources": [1]}]}]
)
def test_what_is_no_list_promises_nothing(odd: Json) -> None:
    assert files_of(odd) == {}


def test_a_file_that_is_as_promised() -> None:
    assert problem_with(files_of(listed())[PAGE], PAGE, read(TEXT)) == ""
    assert problem_with(files_of(listed())[FORMS], FORMS, read("x", FORMS)) == ""


@pytest.mark.parametrize(
    ("more", "result", "words"),
    [
        ({}, read(TEXT + "!"), f"found {len(TEXT) + 1} bytes of {PAGE}, expected {len(TEXT)}"),
        ({}, read(TEXT.replace("B", "b")), "found the digest sha256:"),
        ({"digest": "md5:1"}, read(TEXT), "expected md5:1"),
        ({}, {"contents": []}, "found no text of"),
        ({}, {"contents": [{"uri": PAGE, "blob": "eA=="}]}, "found no text of"),
        ({}, read(TEXT, FORMS), "found no text of"),
        ({}, {}, "found no text of"),
    ],
)
def test_a_file_that_is_not(more: Json, result: Json, words: str) -> None:
    assert words in problem_with(files_of(listed(**more))[PAGE], PAGE, result)


@pytest.mark.parametrize(
    "text",
    ["no fence", "---\nname: other\n---\n", "---\nname: pdf\n", "---\n: [\n---\n", ""],
)
def test_the_frontmatter_must_be_the_one_in_the_list(text: str) -> None:
    file = File(skill=PAGE, digest=digest(text), frontmatter=ABOUT)
    assert "frontmatter" in problem_with(file, PAGE, read(text))
