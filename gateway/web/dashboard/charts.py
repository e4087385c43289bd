"""Charts as SVG: numbers in, markup out. No script, no style attribute, every foreign word escaped.

The drawing is stretched to its place (`preserveAspectRatio="none"`, strokes keep their width), and its words stand
beside it as HTML, so that they are as large on a telephone as on a screen. Each chart says in a sentence what it shows
(`<title>`, `<desc>`) and carries its numbers as a table. Colours and line patterns are classes: `series-1` and on.
"""

import math
from collections.abc import Callable, Iterable, Sequence

from markupsafe import Markup, escape

from gateway.structs import Struct

WIDTH, HEIGHT = 1000.0, 200.0
BAR_HEIGHT = 10.0
SERIES_MAX = 6  # as many as eyes, and the stylesheet, can tell apart
_BAR_PART = 0.72  # of a bar's own stretch; the rest is air
_LABELS_MAX = 7  # more would touch on a telephone
_TICKS = 4
_LEAST = 1e-9  # a thousandth of the smallest amount of money there is
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_SUFFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))

Write = Callable[[float], str]
"""How a number is written, with its unit."""


class Series(Struct, frozen=True):
    """One row of numbers, a value for each label; None where there is none."""

    name: str
    values: tuple[float | None, ...]


def bars(title: str, labels: Sequence[str], series: Sequence[Series], write: Write) -> Markup:
    """A bar for each label, the series stacked in their order. Raises ValueError for what is no amount."""
    _refuse_odd(labels, series)
    totals = [sum(item.values[index] or 0.0 for item in series) for index in range(len(labels))]
    marks = ticks(max(totals, default=0.0))
    slot = WIDTH / max(1, len(labels))
    drawn: list[Markup] = []
    for index, label in enumerate(labels):
        base = 0.0
        for number, item in enumerate(series, 1):
            value = item.values[index] or 0.0
            if value == 0:
                continue
            height = HEIGHT * value / marks[-1]
            drawn.append(
                Markup('<rect class="series-{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>').format(
                    number,
                    _at(slot * (index + (1 - _BAR_PART) / 2)),
                    _at(HEIGHT - base - height),
                    _at(slot * _BAR_PART),
                    _at(height),
                    f"{label}, {item.name}: {write(value)}",
                )
            )
            base += height
    peak = f"The highest is {write(max(totals))}." if any(totals) else ""
    return _figure(title, peak, labels, series, marks, drawn, write)


def lines(title: str, labels: Sequence[str], series: Sequence[Series], write: Write) -> Markup:
    """A line for each series, broken where a value is missing. Raises ValueError for what is no amount."""
    _refuse_odd(labels, series)
    known = [value for item in series for value in item.values if value is not None]
    marks = ticks(max(known, default=0.0))
    slot = WIDTH / max(1, len(labels))
    drawn: list[Markup] = []
    for number, item in enumerate(series, 1):
        for first, values in _stretches(item.values):
            points = [
                f"{_at(slot * (place + 0.5))},{_at(HEIGHT - HEIGHT * value / marks[-1])}"
                for place, value in enumerate(values, first)
            ]
            if len(points) == 1:
                points *= 2  # a line from a point to itself is drawn as a dot
            drawn.append(Markup('<polyline class="series-{}" points="{}"/>').format(number, " ".join(points)))
    last = [f"{item.name} {write(item.values[-1])}" for item in series if item.values and item.values[-1] is not None]
    return _figure(title, f"The last: {', '.join(last)}." if last else "", labels, series, marks, drawn, write)


def budget(sentence: str, *, limit: float, spent: float, held: float) -> Markup:
    """What is spent and what is held of a limit, as one bar; `sentence` says it in words. Raises ValueError."""
    if not all(math.isfinite(amount) and amount >= 0 for amount in (limit, spent, held)):
        raise ValueError("amounts are finite and not negative")
    whole = max(limit, spent + held) or 1.0  # a limit may be lowered under what is spent
    widths = (WIDTH * spent / whole, WIDTH * held / whole)
    return Markup(
        '<svg class="budget{}" role="img" viewBox="0 0 {} {}" preserveAspectRatio="none"><title>{}</title>'
        '<rect class="whole" width="{}" height="{}"/>'
        '<rect class="spent" width="{}" height="{}"/><rect class="held" x="{}" width="{}" height="{}"/></svg>'
    ).format(
        _strain(limit, spent + held),
        *map(_at, (WIDTH, BAR_HEIGHT)),
        sentence,
        *map(_at, (WIDTH, BAR_HEIGHT, widths[0], BAR_HEIGHT, widths[0], widths[1], BAR_HEIGHT)),
    )


def ticks(top: float) -> list[float]:
    """The marks of an axis from 0 to `top` or a little more, at round numbers."""
    if top < _LEAST:
        return [0.0, 1.0]
    rough = top / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in _STEPS if power * factor >= rough * (1 - 1e-9))
    return [step * number for number in range(math.ceil(top / step - 1e-9) + 1)]


def money(currency: str) -> Write:
    """`12.30 USD`; a part of a cent is said, and so is a million."""
    return lambda value: f"{_compact(value)} {currency}"


def seconds(value: float) -> str:
    """`0.25 s`, `12 s`, `3 min`."""
    if value >= 600:
        return f"{value / 60:.4g} min"
    return f"{value * 1000:.3g} ms" if 0 < value < 0.1 else f"{value:.3g} s"


def _figure(
    title: str,
    told: str,
    labels: Sequence[str],
    series: Sequence[Series],
    marks: Sequence[float],
    drawn: Iterable[Markup],
    write: Write,
) -> Markup:
    """The frame of a chart: its title, legend, axes and table."""
    if not any(value for item in series for value in item.values):
        return Markup(
            '<figure class="chart"><figcaption>{}</figcaption><p class="nothing">Nothing yet.</p></figure>'
        ).format(title)
    grid = [
        Markup('<line x1="0" x2="{}" y1="{}" y2="{}"/>').format(
            _at(WIDTH), *[_at(HEIGHT - HEIGHT * mark / marks[-1])] * 2
        )
        for mark in marks
    ]
    return Markup(
        '<figure class="chart"><figcaption>{title}</figcaption>{legend}'
        '<div class="plot"><ol class="scale" aria-hidden="true">{scale}</ol>'
        '<svg role="img" viewBox="0 0 {width} {height}" preserveAspectRatio="none"><title>{title}</title>'
        '<desc>{told}</desc><g class="grid">{grid}</g>{drawn}</svg>'
        '<ol class="labels" aria-hidden="true">{labels}</ol></div>{table}</figure>'
    ).format(
        title=title,
        legend=_legend(series),
        scale=_joined(Markup("<li>{}</li>").format(write(mark)) for mark in reversed(marks)),
        width=_at(WIDTH),
        height=_at(HEIGHT),
        told=told,
        grid=_joined(grid),
        drawn=_joined(drawn),
        labels=_joined(Markup("<li>{}</li>").format(label) for label in _thinned(labels)),
        table=_table(title, labels, series, write),
    )


def _legend(series: Sequence[Series]) -> Markup:
    """Which is which; one series needs none."""
    if len(series) < 2:
        return Markup("")
    entries = (
        Markup(
            '<li><svg class="swatch" aria-hidden="true" viewBox="0 0 20 8">'
            '<line class="series-{}" x1="1" x2="19" y1="4" y2="4"/></svg>{}</li>'
        ).format(number, item.name)
        for number, item in enumerate(series, 1)
    )
    return Markup('<ul class="legend">{}</ul>').format(_joined(entries))


def _table(title: str, labels: Sequence[str], series: Sequence[Series], write: Write) -> Markup:
    """The numbers themselves, for whoever cannot see the drawing or wants to know exactly."""
    heads = _joined(Markup('<th scope="col">{}</th>').format(item.name) for item in series)
    rows = (
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(
            label,
            _joined(Markup('<td class="number">{}</td>').format(_cell(item.values[index], write)) for item in series),
        )
        for index, label in enumerate(labels)
    )
    return Markup(
        '<details class="numbers"><summary>As a table<span class="unseen">: {}</span></summary>'
        '<div class="scroll" tabindex="0" role="region" aria-label="{}"><table><thead><tr><td></td>{}</tr></thead>'
        "<tbody>{}</tbody></table></div></details>"
    ).format(title, title, heads, _joined(rows))


def _cell(value: float | None, write: Write) -> str:
    return "–" if value is None else write(value)


def _thinned(labels: Sequence[str]) -> list[str]:
    """A label for each place, empty where it would touch its neighbour; the first is always said."""
    every = math.ceil(len(labels) / _LABELS_MAX)
    return [label if index % every == 0 else "" for index, label in enumerate(labels)]


def _stretches(values: Sequence[float | None]) -> Iterable[tuple[int, list[float]]]:
    """The runs of values without a gap, each with the place of its first."""
    run: list[float] = []
    for index, value in enumerate([*values, None]):
        if value is not None:
            run.append(value)
        elif run:
            yield index - len(run), run
            run = []


def _refuse_odd(labels: Sequence[str], series: Sequence[Series]) -> None:
    if len(series) > SERIES_MAX:
        raise ValueError(f"at most {SERIES_MAX} series can be told apart")
    for item in series:
        if len(item.values) != len(labels):
            raise ValueError(f"{item.name} has {len(item.values)} values for {len(labels)} labels")
        if any(value is not None and not (math.isfinite(value) and value >= 0) for value in item.values):
            raise ValueError(f"{item.name} has a value that is negative or no number")


def _strain(limit: float, used: float) -> str:
    """How near the limit is, as a class."""
    if used >= limit:
        return " full"
    return " near" if used >= 0.8 * limit else ""


def _compact(value: float) -> str:
    """To the hundredth where that says something, and in thousands from ten of them on."""
    for size, suffix in _SUFFIXES:
        if value >= 10 * size:
            return f"{value / size:.4g}{suffix}"
    if value == 0:
        return "0"
    return f"{value:.2f}" if value >= 0.01 else f"{value:.2g}"


def _at(number: float) -> str:
    """A coordinate: two decimals at most, and never an exponent."""
    return f"{number:.2f}".rstrip("0").rstrip(".")


def _joined(pieces: Iterable[Markup]) -> Markup:
    return Markup("").join(escape(piece) for piece in pieces)
