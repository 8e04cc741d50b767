"""The plots of a report, from its figures."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from load_test.plots import Axis, Dots, Line, Mark, chart, columns, linear, logarithmic, span

Figures = Mapping[str, Any]


def charts(found: Figures) -> list[str]:
    """Sections of HTML, those that there is something to show in."""
    series = found["series"]
    drawn = [_cdf(found), _throughput(series), _responses(series), _queue_age(series)]
    drawn += [_queue_depth(series), _occupancy(series), _occupancy_steps(found)]
    return [each for each in drawn if each]


def short(seconds: float) -> str:
    """For a tick of an axis with times of all sizes."""
    return f"{1000 * seconds:g} ms" if 0 < seconds < 0.9995 else f"{seconds:g} s"


def seconds_axis(label: str, high: float) -> Axis:
    """All in one unit."""
    if high < 1:
        return linear(label, high, lambda v: f"{1000 * v:g} ms")
    return linear(label, high, lambda v: f"{v:g} s")


def _figure(title: str, plot: str, lines: Sequence[Line | Dots] = ()) -> str:
    keys = "".join(
        f'<span class="key {line.style}{" dot" if isinstance(line, Dots) else ""}">'
        f"{escape(line.name)}</span>"
        for line in lines
        if len(lines) > 1
    )
    return f"<section><h2>{escape(title)}</h2>{plot}<p class=keys>{keys}</p></section>"


def _cdf(found: Figures) -> str:
    response, service = found["cdf"]["response_s"], found["cdf"]["service_s"]
    if len(response) < 2:
        return ""
    lines = [
        Line("response, from when it was meant to be sent", response, "a"),
        Line("service, from when it was sent", service, "b dashed"),
    ]
    times = [max(0.0001, at) for at, _ in [*response, *service]]
    x = logarithmic("time", min(times), max(times), short)
    y = linear("share of requests", 1.0, lambda v: f"{100 * v:.0f}%")
    ranks = found["response_s"]
    marks = [Mark(ranks[name], name) for name in ("p50", "p95", "p99")]
    plot = chart("Share of requests that took so long at most", x, y, lines, marks)
    return _figure("Latency", plot, lines)


def _time(series: Figures) -> Axis:
    end_s = len(series["meant_per_s"]) * series["bin_s"]
    last = series["samples"][-1]["at"] if series["samples"] else 0.0
    return span("since the start", max(end_s, last), lambda v: f"{v:g} s")


def _binned(series: Figures, name: str) -> list[tuple[float, float | None]]:
    """A point at each bin's left edge, and one at the end."""
    values, bin_s = series[name], series["bin_s"]
    return [(n * bin_s, value) for n, value in enumerate([*values, values[-1]])]


def _throughput(series: Figures) -> str:
    names = {
        "meant_per_s": ("meant to be sent", "b dashed"),
        "ended_per_s": ("jobs that succeeded", "a"),
        "pictures_per_s": ("pictures", "c"),
    }
    if series["pictures_per_s"] == series["ended_per_s"]:
        del names["pictures_per_s"]
    lines = [
        Line(name, _binned(series, key), style, is_stepped=True)
        for key, (name, style) in names.items()
    ]
    high = max(value for key in names for value in series[key])
    y = linear("a second", high, lambda v: f"{v:g}")
    title = "Throughput over time"
    plot = chart(title, _time(series), y, lines, pale_until=series["counted_from_s"])
    return _figure(title, plot, lines)


def _responses(series: Figures) -> str:
    told = series["responses"]
    if not told:
        return ""
    kinds = sorted({kind for _, _, kind in told})
    styles = dict(zip(kinds, "abc", strict=False))
    dots = [
        Dots(kind, [(at, s) for at, s, each in told if each == kind], styles.get(kind, "d"))
        for kind in kinds
    ]
    y = seconds_axis("response", max(seconds for _, seconds, _ in told))
    title = "Each request, by when it was meant to be sent"
    plot = chart(title, _time(series), y, dots, pale_until=series["counted_from_s"])
    return _figure(title, plot, dots)


def _sampled(series: Figures, name: str) -> list[tuple[float, float | None]]:
    return [(sample["at"], sample[name]) for sample in series["samples"]]


def _over_time(series: Figures, title: str, y: Axis, lines: Sequence[Line]) -> str:
    if not any(value is not None for line in lines for _, value in line.points):
        return ""
    plot = chart(title, _time(series), y, lines, pale_until=series["counted_from_s"])
    return _figure(title, plot, lines)


def _most(points: Sequence[tuple[float, float | None]]) -> float:
    return max((value for _, value in points if value is not None), default=0.0)


def _queue_age(series: Figures) -> str:
    points = _sampled(series, "oldest_s")
    y = seconds_axis("age of the next job", _most(points))
    return _over_time(series, "Queue age", y, [Line("age", points, "a")])


def _queue_depth(series: Figures) -> str:
    lines = [
        Line("jobs that wait in the queue", _sampled(series, "depth"), "a"),
        Line("requests under way, as seen from here", _sampled(series, "under_way"), "b dashed"),
    ]
    y = linear("jobs", max(_most(line.points) for line in lines), lambda v: f"{v:g}")
    return _over_time(series, "Queue depth", y, lines)


def _occupancy(series: Figures) -> str:
    y = linear("rows over the most", 1.0, lambda v: f"{100 * v:.0f}%")
    line = Line("occupancy", _sampled(series, "occupancy"), "a")
    return _over_time(series, "Batch occupancy over time", y, [line])


def _occupancy_steps(found: Figures) -> str:
    told = found["server"]["workers"]
    if not told or not told["steps"]:
        return ""
    bars = [
        (f"{100 * float(edge):.0f}", number) for edge, number in told["occupancy_steps"].items()
    ]
    y = linear("U-Net calls", max(number for _, number in bars), lambda v: f"{v:g}")
    title = "U-Net calls by how full they were"
    return _figure(title, columns(title, "% of the rows that there may be, at most", y, bars))
