"""The shapes of a timeline."""

from collections.abc import Sequence

from pipeline.looks.markup import Markup, element


def area(xs: Sequence[float], ys: Sequence[float], base: float, right: float, kind: str) -> Markup:
    """A filled line of steps: the height stays until the next point, the last one to the right."""
    path = f"M{xs[0]:.1f} {base:.1f}" + "".join(
        f"H{x:.1f}V{y:.1f}" for x, y in zip(xs, ys, strict=True)
    )
    return element("path", d=f"{path}H{right:g}V{base:.1f}Z", class_=kind)


def rect(x: float, y: float, width: float, height: float, kind: str) -> Markup:
    """A rectangle of a kind, which is its CSS class."""
    return element("rect", x=x, y=y, width=width, height=height, class_=kind)


def label(words: str, x: float, y: float, kind: str, **attributes: str) -> Markup:
    """Words, their base line at `y`."""
    return element("text", words, x=x, y=y, class_=kind, **attributes)
