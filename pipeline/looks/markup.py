"""Makes HTML and SVG. What is no `Markup` is text, and is made harmless and escaped."""

from html import escape

from sinks.terminal_text import harmless

_VOID = frozenset({"meta", "link", "br"})


class Markup(str):
    """Text that is markup already. Made by this module alone."""

    __slots__ = ()


def text(value: str) -> Markup:
    """Any text, to stand in an element or an attribute and mean nothing there."""
    return Markup(escape(harmless(value), quote=True))


def join(parts: "list[Markup]") -> Markup:
    """One after the other."""
    return Markup("".join(parts))


def element(name: str, /, *children: str, **attributes: str | float | None) -> Markup:
    """`<name attributes>children</name>`.

    An attribute that is None is left out, one that is "" stands alone. `class_` is `class`, and
    `aria_label` is `aria-label`. Names are ours, never foreign.
    """
    given = ((key, value) for key, value in attributes.items() if value is not None)
    start = f"<{name}{''.join(f' {_name(key)}{_value(value)}' for key, value in given)}>"
    if name in _VOID:
        return Markup(start)
    inner = "".join(child if isinstance(child, Markup) else text(child) for child in children)
    return Markup(f"{start}{inner}</{name}>")


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _value(value: str | float) -> str:
    if value == "":
        return ""
    shown = f"{value:.5g}" if isinstance(value, float) else str(value)
    return f'="{text(shown)}"'
