"""Words of the command line to values by name: what a flag is, and the scanner that reads them.

The scanner follows GNU getopt, so scripts can rely on it: options may stand anywhere, a value is
the next word or follows `=`, short options may be joined (`-qv`, `-pTEXT`), and after `--` nothing
is an option. Two deviations: long options are never abbreviated, for an option that comes later
would break such a script, and an option is no value of another one unless written with `=`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

_MAX_SHOWN = 60


class UsageError(Exception):
    """What was said cannot be done; the text is one line: the place, found, expected."""


@dataclass(frozen=True)
class Flag:
    """How one setting is said. It stands in the `Annotated` of its field.

    `metavar` names the value in the help text, empty for a flag that takes none. `name` and
    `variable` follow from the field's name unless given; `variable` None means that the
    environment cannot say it. `default` is for the help text where the field's own says too little.
    `commands` are those it goes with, empty for all that connect to servers. `is_detail`: only
    `--help-all` shows it.
    """

    group: str
    metavar: str = ""
    name: str = ""
    short: str = ""
    variable: str | None = ""
    is_repeatable: bool = False
    default: str = ""
    commands: tuple[str, ...] = ()
    is_detail: bool = False


@dataclass(frozen=True)
class Variable:
    """Marks a setting that has no flag, only a variable: a secret, or a name that others chose.

    `name` follows from the field's name unless given.
    """

    name: str = ""


@dataclass(frozen=True)
class Scanned:
    """What the words say: `values` by field, `spelled` how each was written, `words` the rest."""

    values: dict[str, str | bool | tuple[str, ...]]
    spelled: dict[str, str]
    words: list[str]


def scan(argv: Sequence[str], flags: Mapping[str, Flag]) -> Scanned:
    """Read all words; `flags` are by field. Of a flag that is not repeatable the last value counts.

    Raises:
        UsageError: For an unknown option, a missing or a superfluous value, bytes that are no text.
    """
    spellings = {flag.name: name for name, flag in flags.items()}
    spellings |= {flag.short: name for name, flag in flags.items() if flag.short}
    scanned = Scanned({}, {}, [])
    rest = [_text(word) for word in reversed(argv)]
    while rest:
        word = rest.pop()
        if word == "--":
            scanned.words.extend(reversed(rest))
            break
        if word == "-" or not word.startswith("-"):
            scanned.words.append(word)
            continue
        spelling, attached = _split(word)
        if spelling not in spellings:
            raise UsageError(_unknown(spelling, list(spellings)))
        name = spellings[spelling]
        scanned.spelled[name] = spelling
        if flags[name].metavar:
            value = _value(spelling, attached, rest, spellings)
            _store(scanned, name, value, is_repeatable=flags[name].is_repeatable)
        else:
            scanned.values[name] = True
            _join(word, spelling, attached, rest)
    return scanned


def shown(text: str) -> str:
    """Foreign text for an error: quoted, on one line, no longer than a line should be."""
    return repr(text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…")


def is_text(text: str) -> bool:
    """False where the system handed over bytes that are no UTF-8 (Python keeps surrogates)."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _text(word: str) -> str:
    if not is_text(word):
        raise UsageError(f"found {shown(word)}, which holds bytes that are no UTF-8 text")
    return word


def _split(word: str) -> tuple[str, str | None]:
    """`--name=value` and `-nvalue` into the option and what is attached to it, None for nothing."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        return name, value if equals else None
    return word[:2], word[2:] or None


def _value(
    spelling: str, attached: str | None, rest: list[str], spellings: Mapping[str, str]
) -> str:
    if attached is not None:
        return attached
    if not rest:
        raise UsageError(f"option {spelling!r} needs a value, found the end of the line")
    following = rest[-1]
    if following == "--" or _split(following)[0] in spellings:
        raise UsageError(
            f"option {spelling!r} needs a value, found the option {shown(following)}; "
            f"if that is the value, join them: {_joined(spelling, following)}"
        )
    return rest.pop()


def _joined(spelling: str, value: str) -> str:
    return shown(f"{spelling}={value}" if spelling.startswith("--") else f"{spelling}{value}")


def _store(scanned: Scanned, name: str, value: str, *, is_repeatable: bool) -> None:
    before = scanned.values.get(name, ())
    if is_repeatable and isinstance(before, tuple):
        scanned.values[name] = (*before, value)
    else:
        scanned.values[name] = value


def _join(word: str, spelling: str, attached: str | None, rest: list[str]) -> None:
    """A flag without a value: what is attached to a short one is the next flags."""
    if attached is None:
        return
    if word.startswith("--"):
        raise UsageError(f"option {spelling!r} takes no value, found {shown(attached)}")
    rest.append(f"-{attached}")


def _unknown(spelling: str, known: list[str]) -> str:
    close = get_close_matches(spelling, [name for name in known if name.startswith("--")], n=1)
    hint = f"did you mean {close[0]!r}?" if close else "--help-all shows them all"
    return f"unknown option {shown(spelling)}; {hint}"
