"""Draws panels of the Grafana dashboard from what Prometheus answers: a row of them is a figure."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator
from numpy.typing import NDArray

from tests.dashboard import Panel
from tests.prometheus import Series

INCHES = (0.62, 0.36)  # of a column and a line of Grafana's grid
COLUMNS = 24
SMALL = 7
MARK = {"color": "0.4", "linestyle": ":", "linewidth": 0.8}
Values = NDArray[np.float64]
NAMES_OF_BYTES = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, slots=True)
class Line:
    legend: str
    series: Series


@dataclass(frozen=True, slots=True)
class Period:
    """The time that is drawn, and what happened meanwhile."""

    start: float  # seconds since the epoch
    end: float
    step: float  # seconds between two points
    marks: tuple[float, ...] = ()  # seconds since the start

    @property
    def length_s(self) -> float:
        return self.end - self.start

    @property
    def times(self) -> Values:
        return np.arange(self.start, self.end + 1e-6, self.step)


Draw = Callable[[SubFigure, Panel, Sequence[Line], Period], None]


def row_figure(panels: Sequence[Panel], lines: Mapping[int, list[Line]], period: Period) -> Figure:
    """
    Args:
        lines: what each panel shows, by its id.
    """
    places = [panel.content["gridPos"] for panel in panels]
    top = min(place["y"] for place in places)
    height = max(place["y"] + place["h"] for place in places) - top
    size = (COLUMNS * INCHES[0], height * INCHES[1])
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    grid = figure.add_gridspec(height, COLUMNS)
    for panel, place in zip(panels, places, strict=True):
        first, left = place["y"] - top, place["x"]
        cell = figure.add_subfigure(grid[first : first + place["h"], left : left + place["w"]])
        cell.suptitle(panel.title, fontsize=9, fontweight="bold", x=0.01, ha="left")
        shown = lines[panel.content["id"]]
        KINDS[panel.kind](cell, panel, shown, period) if shown else _nothing(cell)
    return figure


def legend_of(target_legend: str, labels: Mapping[str, str]) -> str:
    """Grafana's template, filled in."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), target_legend)


def written(value: float, unit: str) -> str:
    """A figure as Grafana writes it, or nearly so."""
    if unit == "percentunit":
        return f"{100 * value:.3g} %"
    if unit == "bytes":
        return _bytes(value)
    if unit == "s":
        return f"{1000 * value:.3g} ms" if 0 < abs(value) < 1 else f"{value:.3g} s"
    suffix = {"reqps": " req/s", "none": ""}.get(unit, unit.removeprefix("suffix:"))
    return f"{value:.3g}{suffix}"


def _bytes(value: float) -> str:
    power = min(int(math.log(value, 1024)), len(NAMES_OF_BYTES) - 1) if value >= 1 else 0
    return f"{value / 1024**power:.3g} {NAMES_OF_BYTES[power]}"


def _timeseries(cell: SubFigure, panel: Panel, lines: Sequence[Line], period: Period) -> None:
    axes = _axes_in_time(cell, panel, period)
    apart = {
        each["matcher"]["options"]: {one["id"] for one in each["properties"]}
        for each in panel.content["fieldConfig"]["overrides"]
    }
    is_stacked = "stacking" in panel.content["fieldConfig"]["defaults"]["custom"]
    stacked = [line for line in lines if is_stacked and line.legend not in apart]
    if stacked:
        times, values = _table(stacked, period)
        axes.stackplot(times, values, labels=[line.legend for line in stacked], alpha=0.75)
    for line in lines:
        if line not in stacked:
            _line(axes, line, apart.get(line.legend, set()), period)
    axes.set_ylim(bottom=0, top=panel.content["fieldConfig"]["defaults"].get("max"))
    columns = max(1, min(len(lines), int(panel.content["gridPos"]["w"] * INCHES[0] / 1.7)))
    cell.legend(loc="outside lower left", ncols=columns, fontsize=SMALL, frameon=False)


def _line(axes: Axes, line: Line, overrides: set[str], period: Period) -> None:
    style = {"linestyle": "--", "color": "tab:red"} if "custom.lineStyle" in overrides else {}
    if "custom.stacking" in overrides:
        style = {"color": "black"}
    known = dict(line.series.points)
    values = [known.get(at, math.nan) for at in period.times]  # Grafana leaves gaps as well
    axes.plot(period.times - period.start, values, label=line.legend, lw=1.4, **style)


def _table(
    lines: Sequence[Line], period: Period
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values of all lines at all times, 0 where one has none: [times], [lines, times]."""
    times = sorted({at for line in lines for at, _ in line.series.points})
    values = np.zeros((len(lines), len(times)))
    for row, line in zip(values, lines, strict=True):
        known = dict(line.series.points)
        row[:] = [known.get(at, 0.0) for at in times]
    return np.array(times) - period.start, np.nan_to_num(values)


def _heatmap(cell: SubFigure, panel: Panel, lines: Sequence[Line], period: Period) -> None:
    axes = _axes_in_time(cell, panel, period)
    ordered = sorted(lines, key=lambda line: float(line.series.labels["le"]))
    times, cumulated = _table(ordered, period)
    counts = np.diff(cumulated, axis=0, prepend=0.0)
    used = np.flatnonzero(counts.sum(axis=1) > 0)
    first, last = (used[0], used[-1] + 1) if len(used) else (0, len(counts))
    limits = [float(line.series.labels["le"]) for line in ordered[first:last]]
    shades = np.ma.masked_less_equal(counts[first:last], 0)
    edges = np.append(times, 2 * times[-1] - times[-2])
    axes.pcolormesh(edges, np.arange(last - first + 1), shades, cmap="Oranges", vmin=0)
    names = ["more" if math.isinf(limit) else written(limit, panel.unit) for limit in limits]
    axes.set_yticks(np.arange(1, len(names) + 1), names)


def _stat(cell: SubFigure, panel: Panel, lines: Sequence[Line], period: Period) -> None:
    axes = cell.subplots()
    axes.set_axis_off()
    share = 1 / len(lines)
    for number, line in enumerate(lines):
        known = [value for _, value in line.series.points if math.isfinite(value)]
        text = written(known[-1], panel.unit) if known else "no data"
        middle = (number + 0.5) * share
        axes.text(middle, 0.55, text, ha="center", va="center", fontsize=13 if share < 1 else 18)
        if share < 1:
            axes.text(middle, 0.1, line.legend, ha="center", va="center", fontsize=SMALL)


def _bargauge(cell: SubFigure, panel: Panel, lines: Sequence[Line], period: Period) -> None:
    axes = cell.subplots()
    ordered = sorted(lines, key=lambda line: line.series.points[-1][1])
    values = [line.series.points[-1][1] for line in ordered]
    bars = axes.barh([line.legend for line in ordered], values, color="tab:blue", alpha=0.75)
    axes.bar_label(bars, [f" {written(value, panel.unit)}" for value in values], fontsize=SMALL)
    axes.tick_params(labelsize=SMALL, bottom=False, labelbottom=False)
    axes.margins(x=0.2)
    axes.spines[["top", "right", "bottom"]].set_visible(False)


def _text(cell: SubFigure, panel: Panel, lines: Sequence[Line], period: Period) -> None:
    axes = cell.subplots()
    axes.set_axis_off()
    left_out = panel.content["transformations"][0]["options"]["excludeByName"]
    names = sorted({name for line in lines for name in line.series.labels} - left_out.keys())
    cells = [[line.series.labels.get(name, "") for name in names] for line in lines]
    table = axes.table(cells, colLabels=names, loc="upper center", cellLoc="left", edges="B")
    table.auto_set_font_size(False)
    table.set_fontsize(SMALL)
    table.auto_set_column_width(range(len(names)))


def _nothing(cell: SubFigure) -> None:
    axes = cell.subplots()
    axes.set_axis_off()
    axes.text(0.5, 0.5, "No data", ha="center", va="center", color="0.5")


def _axes_in_time(cell: SubFigure, panel: Panel, period: Period) -> Axes:
    axes: Axes = cell.subplots()
    axes.set_xlim(0, period.length_s)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda s, _: f"{s // 60:.0f}:{s % 60:02.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value, panel.unit)))
    axes.xaxis.set_major_locator(MultipleLocator(30))
    if panel.unit == "bytes":
        axes.yaxis.set_major_locator(_PowersOfTwo())
    axes.tick_params(labelsize=SMALL)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    for mark in period.marks:
        axes.axvline(mark, **MARK)
    return axes


class _PowersOfTwo(MaxNLocator):
    """Ticks at round numbers of bytes: four to eight of them, a power of two apart."""

    def tick_values(self, vmin: float, vmax: float) -> Values:
        step = 2.0 ** math.floor(math.log2(max(vmax - vmin, 1) / 4))
        return np.arange(0, vmax + step, step)


KINDS: dict[str, Draw] = {
    "timeseries": _timeseries,
    "heatmap": _heatmap,
    "stat": _stat,
    "bargauge": _bargauge,
    "table": _text,
}
