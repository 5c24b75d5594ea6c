"""Who said what on the command line and in variables, and what is wrong with it, in one line."""

from collections.abc import Mapping
from pathlib import Path

from pydantic_core import ErrorDetails

from config.fields.marks import SECONDS, SIZE
from config.flags import shown
from config.variables import FLAGS, VARIABLES

_UNITS = {SECONDS: (" of seconds", " seconds"), SIZE: (" of bytes", " bytes")}


class Given:
    """Who said what, for errors."""

    def __init__(
        self,
        spelled: Mapping[str, str],
        environ: Mapping[str, str],
        file: Mapping[str, str],
        path: Path | None,
    ) -> None:
        self._spelled = spelled
        self._environ = environ
        self._file = file
        self._path = path

    def place(self, field: str) -> str:
        """The flag or variable that said a field; of what nobody said, the flag."""
        variable = VARIABLES.get(field, "")
        if field in self._spelled:
            return self._spelled[field]
        if self._environ.get(variable):
            return variable
        if self._file.get(variable):
            return f"{variable} in {str(self._path)!r}"
        return FLAGS[field].name if field in FLAGS else variable


def explain(error: ErrorDetails, given: Given) -> str:
    """One line about the first thing that pydantic refused."""
    field = str(error["loc"][0])
    limits = error.get("ctx", {})
    of, unit = _UNITS.get(FLAGS[field].metavar if field in FLAGS else "", ("", ""))
    match error["type"]:
        case "value_error":
            return f"{given.place(field)}: {limits['error']}"
        case "greater_than":
            expected = f"a number{of} above {limits['gt']:g}"
        case "greater_than_equal":
            expected = f"{limits['ge']:g}{unit} or more"
        case "less_than_equal":
            expected = f"{limits['le']:g}{unit} or less"
        case "float_parsing":
            expected = f"a number{of}"
        case "finite_number":
            expected = f"a finite number{of}"
        case "int_parsing" | "int_parsing_size":
            expected = "a whole number"
        case "bool_parsing":
            expected = "true or false"
        case "string_too_short":
            expected = "some text"
        case "literal_error":
            expected = str(limits["expected"])
        case _:
            expected = error["msg"]
    return f"{given.place(field)}: found {shown(str(error['input']))}, expected {expected}"
