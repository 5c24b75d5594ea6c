"""Finds secrets in JSON: by the name of their key, and by their look.

Two kinds of rules. A *look* (`sk-ant-…`, a private key, `Bearer …`) is a secret wherever it stands,
also in the middle of a text. Under a *telling key* (`password`, `api_key`, …) any value is one that
is not plainly a stand-in; under a key that only hints (`token`, `auth`, …) it must be long and
random as well. JSON and `key=value` inside texts is looked into, too. `[redacted:api-key:1]` stands
where a secret was, and is none.

Session ids are no secrets here: every recording of a session has them, and they end with it.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TypeVar

import msgspec

from pipeline.core.json_leaves import Leaf, leaves

T = TypeVar("T")

_SHOWN = 4
_LONG_ENOUGH_TO_SHOW = 12
_MAX_KEY = 40

_LOOKS: tuple[tuple[str, str], ...] = (
    ("private-key", r"-----BEGIN (?P<s>[A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END|\Z))"),
    ("anthropic-key", r"\bsk-ant-[A-Za-z0-9_-]{8,}"),
    ("stripe-key", r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    ("api-key", r"\bsk-[A-Za-z0-9_-]{20,}"),
    ("github-token", r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{30,})"),
    ("gitlab-token", r"\bglpat-[A-Za-z0-9_-]{20,}"),
    ("aws-key", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    ("google-key", r"\bAIza[A-Za-z0-9_-]{35}\b"),
    ("slack-token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    ("npm-token", r"\bnpm_[A-Za-z0-9]{36}\b"),
    ("pypi-token", r"\bpypi-[A-Za-z0-9_-]{50,}"),
    ("huggingface-token", r"\bhf_[A-Za-z0-9]{30,}"),
    ("jwt", r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    ("authorization", r"(?i:\bbearer\s+(?P<s>(?=[a-z._~+/-]*\d)[a-z0-9._~+/-]{8,}=*))"),
    ("authorization", r"(?i:\bauthorization:\s*basic\s+(?P<s>[A-Za-z0-9+/]{8,}=*))"),
    ("url-password", r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/?#@:]*:(?P<s>[^\s/?#@]+)@"),
)
_RULES = tuple((rule, re.compile(pattern)) for rule, pattern in _LOOKS)
# Most texts in a recording are short words: nothing above or below can be in one of these.
_SHORT_WORDS = re.compile(r"[A-Za-z0-9_. ]{0,14}")
_PAIR = re.compile(
    r"""(?<![A-Za-z0-9_.-])([A-Za-z][A-Za-z0-9_.-]{1,40})['"]?\s*([=:])(?!//)\s*"""
    r"""['"]?([^\s'"&,;)}\]]+)"""
)
_TELLING = frozenset({
    "access_key", "access_token", "api_key", "apikey", "api_token", "auth_token", "authorization",
    "client_secret", "cookie", "credential", "credentials", "id_token", "passphrase", "passwd",
    "password", "private_key", "proxy_authorization", "pwd", "refresh_token", "secret",
    "secret_access_key", "secret_key", "session_token", "set_cookie", "signing_key",
})  # fmt: skip
_TELLING_ENDS = ("_api_key", "_password", "_secret", "_access_token", "_private_key", "_secret_key")
_HINTING = frozenset({"auth", "key", "sid", "token"})
_HINTING_ENDS = ("_auth", "_key", "_token")
_NAMES, _ENDS = _TELLING | _HINTING, (*_TELLING_ENDS, *_HINTING_ENDS)
_HAVE_SPACES = frozenset(
    {"authorization", "cookie", "passphrase", "proxy_authorization", "set_cookie"}
)
_LONG, _RANDOM_BITS, _LONG_AS_WORD = 20, 3.5, 6
_STAND_IN = re.compile(
    r"(?i)[*.x•…#_-]*|<.*>|\[.*\]|\{.*\}|[$%].*|your[-_ ].*|redacted|"
    r"hidden|removed|none|null|true|false|string|text|secret|password|token|bearer|basic"
)
_CODE = re.compile(r".*[(\[].*|(?:os|process|env|self)\..*")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

PLACEHOLDER = re.compile(r"\[redacted:([a-z0-9-]+):(\d+)\]", re.ASCII)
"""What stands where a secret was: its kind, and a number that is the same for the same secret."""


def placeholder(kind: str, number: int) -> str:
    """`[redacted:api-key:1]`: nothing in it needs an escape in JSON."""
    return f"[redacted:{kind}:{number}]"


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """A secret and where it stands. `path` is jq's; `value` is the secret: never show it."""

    path: str
    rule: str
    value: str

    @property
    def hint(self) -> str:
        """What may be shown: how it begins, where that leaves enough unknown, and its length."""
        start = f"{self.value[:_SHOWN]}… " if len(self.value) >= _LONG_ENOUGH_TO_SHOW else ""
        return f"{start}({len(self.value)} characters)"


def find_secrets(text: str) -> Iterator[Secret]:
    """All secrets in a JSON text, or in any other, in their order; each place is told once."""
    for leaf in leaves(text):
        for start, stop, rule in secret_spans(leaf.key, leaf.text):
            yield Secret(path=path_of(leaf), rule=rule, value=leaf.text[start:stop])


def path_of(leaf: Leaf) -> str:
    """Where a leaf is, for jq. A key that is a secret itself, or long, is cut: paths are shown."""
    return leaf.place.path(_shown)


def secret_spans(key: str, text: str) -> list[tuple[int, int, str]]:
    """Begin, end and rule of each secret in a text that stands under a key; none overlaps.

    A key that makes a secret of the rest of the text makes one of the whole.
    """
    found = list(spans(text))
    rest = text
    for start, stop, _ in reversed(found):
        rest = rest[:start] + rest[stop:]
    rule = _rule_of(key, rest)
    return [(0, len(text), rule)] if rule else found


def spans(text: str) -> Iterator[tuple[int, int, str]]:
    """Begin, end and rule of each secret in a text, by look and as `key=value`; none overlaps."""
    if _SHORT_WORDS.fullmatch(text):
        return
    found = [(*_inner(match), rule) for rule, look in _RULES for match in look.finditer(text)]
    for pair in _PAIR.finditer(text):
        key, sign, value = pair.groups()
        rule = "" if _CODE.fullmatch(value) else _rule_of(key, value)
        if rule and (sign == "=" or _is_no_word(value)):
            found.append((*pair.span(3), rule))
    yield from merged(
        (start, stop, rule)
        for start, stop, rule in found
        if not PLACEHOLDER.fullmatch(text, start, stop)
    )


def merged(found: Iterable[tuple[int, int, T]]) -> list[tuple[int, int, T]]:
    """Spans in order, those that overlap as one, which is called as its first and longest part."""
    whole: list[tuple[int, int, T]] = []
    for start, stop, what in sorted(found, key=lambda each: (each[0], -each[1])):
        if whole and start < whole[-1][1]:
            before, end, first = whole[-1]
            whole[-1] = before, max(end, stop), first
        else:
            whole.append((start, stop, what))
    return whole


def _inner(match: re.Match[str]) -> tuple[int, int]:
    return match.span("s") if "s" in match.re.groupindex else match.span()


def _rule_of(key: str, value: str) -> str:
    """The rule by which a value under a key is a secret; empty if it is none."""
    name = _name_of(key)
    if name not in _NAMES and not name.endswith(_ENDS):
        return ""
    value = PLACEHOLDER.sub("", value).strip()
    if _STAND_IN.fullmatch(value):
        return ""
    if name in _TELLING or name.endswith(_TELLING_ENDS):
        # A sentence under such a key describes it, as in a form.
        is_sentence = " " in value and name not in _HAVE_SPACES
        return "" if is_sentence else "telling-key"
    return "random-text" if is_random(value) else ""


@lru_cache(maxsize=1024)
def _name_of(key: str) -> str:
    """`X-Api-Key` and `apiKey` are `api_key`."""
    return re.sub(r"[-.]", "_", _CAMEL.sub("_", key)).lower().removeprefix("x_")


def _is_no_word(value: str) -> bool:
    """After a colon in a sentence most words are words: `password: required`."""
    return len(value) >= _LONG_AS_WORD and re.search(r"\d", value) is not None


def is_random(text: str) -> bool:
    """Long, without spaces, and with many different characters: no word, and not to be guessed."""
    if len(text) < _LONG or re.search(r"\s", text) or not re.search(r"\d", text):
        return False
    shares = [count / len(text) for count in Counter(text).values()]
    return -sum(share * math.log2(share) for share in shares) >= _RANDOM_BITS


def _shown(key: str) -> str:
    if any(True for _ in spans(key)):
        key = f"{key[:_SHOWN]}…"
    return key if len(key) <= _MAX_KEY else f"{key[:_MAX_KEY]}…"
