"""The picture of `bench.backpressure`: three panels over one axis of time, in seconds."""

# matplotlib says little of its types:
# pyright: reportUnknownMemberType=false

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.backpressure_run import Measured

MIB = 2**20
_SENT, _THROUGH, _CLIENT = "#0072b2", "#d55e00", "#009e73"  # Okabe and Ito: for any eyes


def draw(measured: Measured, path: Path) -> None:
    """Write a PNG with a ground of its own, so that it reads on light pages and on dark ones."""
    figure = Figure(figsize=(8, 7.5), dpi=120, facecolor="white", layout="constrained")
    events, between, memory = figure.subplots(3, sharex=True, height_ratios=(3, 2, 2))
    _draw_events(events, measured)
    _draw_between(between, measured)
    _draw_memory(memory, measured)
    memory.set_xlabel("time since the first event (seconds)")
    for axes in (events, between, memory):
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)
        axes.grid(visible=True, color="#dddddd")
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Software": None})


def _draw_events(axes: Axes, measured: Measured) -> None:
    sent, samples = measured.sent, measured.samples
    axes.set_title(f"{measured.events:,} events, and a sink that takes 1 s for each batch")
    axes.set_ylabel("events")
    axes.yaxis.set_major_formatter(lambda count, _: f"{count:,.0f}")
    axes.plot(
        [s.at for s in sent], [s.sent for s in sent], _SENT, label="taken by the server's socket"
    )
    axes.plot(
        [s.at for s in samples], [s.through for s in samples], _THROUGH, label="through the sink"
    )
    axes.legend(frameon=False)


def _draw_between(axes: Axes, measured: Measured) -> None:
    ahead = measured.ahead()
    axes.set_ylabel("events on the way")
    axes.yaxis.set_major_formatter(lambda count, _: f"{count:,.0f}")
    axes.plot([at for at, _ in ahead], [count for _, count in ahead], _SENT,
              label="taken by the socket, and not yet through the sink")  # fmt: skip
    axes.legend(frameon=False, loc="lower center")


def _draw_memory(axes: Axes, measured: Measured) -> None:
    samples = measured.samples
    axes.set_ylabel("resident memory (MiB)")
    for values, colour, label in (
        ([s.client / MIB for s in samples], _CLIENT, "client"),
        ([s.server / MIB for s in samples], _SENT, "server"),
    ):
        axes.plot([s.at for s in samples], values, colour, label=label)
    axes.legend(frameon=False, loc="center right")
