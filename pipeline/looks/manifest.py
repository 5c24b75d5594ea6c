"""What was taken out of a recording: a file beside it, which tells all but the secrets.

No digest of a secret is in it, for a short secret can be guessed by trying. A digest of the
recording as it was is as bad, since who has the clean one needs only to put a guess in its place:
it is there only if no secret could be guessed.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from pipeline.core.json_leaves import leaves, strings
from pipeline.core.pieces import head_of
from pipeline.core.redaction import Taken
from pipeline.core.secrets import PLACEHOLDER, path_of

FORMAT = 1
_SUFFIX = ".redactions.json"
_MOST_PLACES = 10_000
_UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)


class At(msgspec.Struct, frozen=True, omit_defaults=True):
    """A place: line of the file, `seq` there (0: a header), path for jq.

    `is_rest`: a piece of a streamed text lost the rest of what an earlier piece has a placeholder
    for.
    """

    line: int
    path: str
    seq: int = 0
    is_rest: bool = False


class Redaction(msgspec.Struct, kw_only=True):
    """One secret; `length` is in characters, `count` that of all its places."""

    placeholder: str
    kind: str
    rule: str
    length: int
    count: int = 0
    places: list[At] = []


class FileFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two files; `sha256` None where it would be of use to guess a secret."""

    name: str
    bytes: int
    sha256: str | None


class Manifest(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="redactions"):
    """All of it. `replay` is empty if the clean recording replays as the source did."""

    format: int = FORMAT
    rxmcp: str
    at: str
    source: FileFacts
    clean: FileFacts
    replay: str = ""
    redactions: list[Redaction] = []


class NotAManifestError(ValueError):
    """A file beside a recording is no manifest; the text says what was found."""


_manifests = msgspec.json.Decoder(Manifest)


class Tally:
    """Counts places by placeholder; past the first 10,000 of one only their number is kept."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._places: dict[str, list[At]] = {}

    def add(self, placeholder: str, at: At) -> None:
        """One more place."""
        places = self._places.setdefault(placeholder, [])
        self._counts[placeholder] = self._counts.get(placeholder, 0) + (not at.is_rest)
        if len(places) < _MOST_PLACES:
            places.append(at)

    def redactions(self, taken: list[Taken]) -> list[Redaction]:
        """What was taken out, and where it was."""
        return [
            Redaction(
                placeholder=each.placeholder,
                kind=each.why.kind,
                rule=each.why.rule,
                length=each.length,
                count=self._counts.get(each.placeholder, 0),
                places=self._places.get(each.placeholder, []),
            )
            for each in taken
        ]


def manifest_path(clean: Path) -> Path:
    """Where the manifest of a clean recording is."""
    return clean.with_name(clean.name + _SUFFIX)


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write it into a file that is there already, and is its owner's alone.

    Raises:
        OSError: If it cannot be written.
    """
    path.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")


def read_manifest(clean: Path) -> Manifest | None:
    """The manifest beside a recording; None if there is none.

    Raises:
        NotAManifestError: If it cannot be read.
    """
    path = manifest_path(clean)
    try:
        manifest = _manifests.decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise NotAManifestError(f"{path.name} cannot be read: {exc.strerror}") from exc
    except _UNREADABLE as exc:
        raise NotAManifestError(f"{path.name} is no manifest: {exc}") from exc
    if manifest.format != FORMAT:
        found = f"{path.name} has format {manifest.format}"
        raise NotAManifestError(f"{found}, this version reads {FORMAT}")
    return manifest


def expected_in(manifest: Manifest) -> dict[int, list[tuple[str, str]]]:
    """By line: path and placeholder of what must be there."""
    found: dict[int, list[tuple[str, str]]] = {}
    for redaction, at in _places(manifest):
        if not at.is_rest:
            found.setdefault(at.line, []).append((at.path, redaction.placeholder))
    return found


def places_in(line: bytes) -> Iterator[tuple[str, str]]:
    """Path and placeholder of each one in a line; in a piece of a text no JSON is looked for."""
    text = line.decode("utf-8", "surrogateescape")
    if "[redacted:" not in text:
        return
    for leaf in (strings if head_of(text).is_piece else leaves)(text):
        for found in PLACEHOLDER.finditer(leaf.text):
            yield path_of(leaf), found[0]


def missing_in(line: bytes, expected: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those that a line does not hold where they should be."""
    found = set(places_in(line)) if expected else set[tuple[str, str]]()
    return [each for each in expected if each not in found]


def _places(manifest: Manifest) -> Iterator[tuple[Redaction, At]]:
    for redaction in manifest.redactions:
        for at in redaction.places:
            yield redaction, at
