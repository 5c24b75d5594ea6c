"""Foreign text for a screen."""

import sys
import unicodedata

import pytest

from sinks.terminal_text import clip, harmless, one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ünïcödé, 漢字, 😀", "plain, ünïcödé, 漢字, 😀"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("over\rwrite", r"over\x0dwrite"),
        ("\x7f\x80\x9b\x9f", r"\x7f\x80\x9b\x9f"),
        ("abc\u202edcba\u2069", r"abc\u202edcba\u2069"),
        ("a\u200bb\u200dc\ufeffd\u2060", r"a\u200bb\u200dc\ufeffd\u2060"),
        ("\U000e0041\U000e007f", r"\U000e0041\U000e007f"),
        ("\ud800 \udc1b", r"\ud800 \udc1b"),
        ("\u2028\u2029", r"\u2028\u2029"),
        ("❤\ufe0f", "❤\ufe0f"),
        (r"C:\x1b", r"C:\x1b"),
    ],
)
def test_what_drives_a_terminal_is_escaped_and_the_rest_is_not(text: str, shown: str) -> None:
    assert harmless(text) == shown


def test_no_control_format_surrogate_or_separator_of_unicode_gets_through() -> None:
    """Except newline, tab, and the format characters that have a shape of their own."""
    visible = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    visible |= set(range(0x13430, 0x13440))  # Egyptian quadrat joiners: no right-to-left, no void
    allowed = {0x09, 0x0A, *visible}
    through = [
        code
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        and harmless(chr(code)) == chr(code)
    ]
    assert set(through) <= allowed


def test_a_line_stays_one_line() -> None:
    assert one_line("a\n! forged\tline\r\n") == r"a\n! forged\tline\x0d\n"


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("abc", 3, "abc"),
        ("abcdef", 3, "abc… 3 B more"),
        ("ab€€", 2, "ab… 6 B more"),
        ("a" * 3203, 3, "aaa… 3.2 KB more"),
        ("a" * 2_500_000, 0, "… 2.5 MB more"),
        ("a\ud800", 1, "a… 3 B more"),
    ],
)
def test_long_text_is_cut_and_what_is_left_out_is_counted(
    text: str, limit: int, shown: str
) -> None:
    assert clip(text, limit) == shown
