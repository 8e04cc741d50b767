"""Plots as SVG, to stand in a page whose style gives them their colours: no library is needed to
look at them, and nothing is fetched."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 520, 270
LEFT, RIGHT, TOP, BOTTOM = 64, 22, 12, 44
NICE = (1.0, 2.0, 2.5, 5.0, 10.0)
Point = tuple[float, float | None]


@dataclass(frozen=True, slots=True)
class Axis:
    label: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    is_log: bool = False

    def place(self, value: float) -> float:
        """From 0 at the low end to 1 at the high one."""
        if self.is_log:
            return math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def linear(label: str, high: float, write: Callable[[float], str], count: int = 5) -> Axis:
    """From 0 to a round number that is not below `high`."""
    step = nice(high / count) if high > 0 else 1.0
    ticks = max(1, math.ceil(high / step - 1e-9))
    return Axis(label, 0.0, ticks * step, [(n * step, write(n * step)) for n in range(ticks + 1)])


def span(label: str, high: float, write: Callable[[float], str], count: int = 6) -> Axis:
    """From 0 to `high` itself, for a time."""
    high = max(high, 1e-9)
    step = nice(high / count)
    ticks = [(n * step, write(n * step)) for n in range(int(high / step + 1e-9) + 1)]
    return Axis(label, 0.0, high, ticks)


def logarithmic(label: str, low: float, high: float, write: Callable[[float], str]) -> Axis:
    """Around the values from `low` to `high`, both above 0."""
    low, high = low / 1.05, max(high, low * 1.5) * 1.05
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps: Sequence[float] = (1, 2, 5) if high / low < 1000 else (1,)
    if high / low < 5:
        steps = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)
    values = [step * 10.0**decade for decade in decades for step in steps]
    return Axis(label, low, high, [(v, write(v)) for v in values if low <= v <= high], is_log=True)


def nice(value: float) -> float:
    """The round number that is next above."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * each for each in NICE if value <= power * each * (1 + 1e-9))


@dataclass(frozen=True, slots=True)
class Line:
    """Points by rising x; where y is None there is a gap."""

    name: str
    points: Sequence[Point]
    style: str  # a class of the page's
    is_stepped: bool = False


@dataclass(frozen=True, slots=True)
class Dots:
    """Points without a line between them."""

    name: str
    points: Sequence[tuple[float, float]]
    style: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A value of x that has a name."""

    at: float
    name: str


def chart(
    title: str,
    x: Axis,
    y: Axis,
    lines: Sequence[Line | Dots],
    marks: Sequence[Mark] = (),
    pale_until: float | None = None,
) -> str:
    """
    Args:
        title: what it shows, for those who cannot see it.
        pale_until: the x up to which nothing counts.
    """
    plane = _Plane(x, y)
    parts = [plane.pale(pale_until) if pale_until else "", plane.grid()]
    parts += [plane.dots(each) if isinstance(each, Dots) else plane.line(each) for each in lines]
    parts += [plane.mark(mark, n) for n, mark in enumerate(marks)]
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        + "".join(parts)
        + "</svg>"
    )


def columns(title: str, x: str, y: Axis, bars: Sequence[tuple[str, float]]) -> str:
    """One column for each bar, under its name."""
    plane = _Plane(Axis(x, 0.0, max(1, len(bars)), ()), y)
    parts = [plane.grid()]
    for n, (name, value) in enumerate(bars):
        left, right, top, base = plane.x(n + 0.12), plane.x(n + 0.88), plane.y(value), plane.y(0)
        parts.append(
            f'<rect class="column" x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
            f'height="{base - top:.1f}"><title>{escape(name)}: {value:g}</title></rect>'
            f'<text class="tick" x="{(left + right) / 2:.1f}" y="{HEIGHT - BOTTOM + 17}" '
            f'text-anchor="middle">{escape(name)}</text>'
        )
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        + "".join(parts)
        + "</svg>"
    )


class _Plane:
    """Where values lie in a picture."""

    def __init__(self, x: Axis, y: Axis):
        self._x, self._y = x, y

    def x(self, value: float) -> float:
        return LEFT + self._x.place(value) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - self._y.place(value) * (HEIGHT - TOP - BOTTOM)

    def grid(self) -> str:
        base, middle = HEIGHT - BOTTOM, (TOP + HEIGHT - BOTTOM) / 2
        parts = [
            f'<path class="grid" d="M{LEFT} {self.y(v):.1f}H{WIDTH - RIGHT}"/>'
            f'<text class="tick" x="{LEFT - 7}" y="{self.y(v) + 4.5:.1f}" text-anchor="end">'
            f"{escape(text)}</text>"
            for v, text in self._y.ticks
        ]
        parts += [
            f'<path class="grid" d="M{self.x(v):.1f} {base}v4"/>'
            f'<text class="tick" x="{self.x(v):.1f}" y="{base + 17}" text-anchor="middle">'
            f"{escape(text)}</text>"
            for v, text in self._x.ticks
        ]
        parts.append(
            f'<path class="axis" d="M{LEFT} {base}H{WIDTH - RIGHT}"/>'
            f'<text class="label" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" '
            f'text-anchor="middle">{escape(self._x.label)}</text>'
            f'<text class="label" transform="translate(13 {middle}) rotate(-90)" '
            f'text-anchor="middle">{escape(self._y.label)}</text>'
        )
        return "".join(parts)

    def pale(self, until: float) -> str:
        right = self.x(min(until, self._x.high))
        return (
            f'<rect class="pale" x="{LEFT}" y="{TOP}" width="{right - LEFT:.1f}" '
            f'height="{HEIGHT - TOP - BOTTOM}"><title>warm-up, not counted</title></rect>'
        )

    def line(self, line: Line) -> str:
        path, pen, before = [], "M", 0.0
        for at, value in line.points:
            if value is None:
                pen = "M"
                continue
            x, y = self.x(at), self.y(value)
            if line.is_stepped and pen == "L":
                path.append(f"H{x:.1f}V{y:.1f}")
            else:
                path.append(f"{pen}{x:.1f} {y:.1f}")
            pen, before = "L", x
        if len(path) == 1:  # a line of one point would not be seen
            path.append(f"H{before + 3:.1f}")
        drawn = f'<path class="line {line.style}" d="{"".join(path)}">'
        return f"{drawn}<title>{escape(line.name)}</title></path>"

    def dots(self, dots: Dots) -> str:
        """As one path of strokes without length, whose ends are round."""
        drawn = "".join(f"M{self.x(x):.1f} {self.y(y):.1f}h0" for x, y in dots.points)
        return f'<path class="dots {dots.style}" d="{drawn}"/>'

    def mark(self, mark: Mark, n: int) -> str:
        x, low = self.x(mark.at), HEIGHT - BOTTOM - 8 - 17 * n
        anchor, aside = ("end", -5) if x > WIDTH / 2 else ("start", 5)
        return (
            f'<path class="mark" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
            f'<text class="marked" x="{x + aside:.1f}" y="{low}" text-anchor="{anchor}">'
            f"{escape(mark.name)}</text>"
        )
