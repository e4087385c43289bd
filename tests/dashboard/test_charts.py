"""Charts: numbers in, positions out, and nothing foreign ever becomes markup."""

import math
import xml.etree.ElementTree as ET

import pytest
from markupsafe import Markup

from gateway.web.dashboard import charts
from gateway.web.dashboard.charts import HEIGHT, WIDTH, Series

EUR = charts.money("EUR")


def parsed(markup: Markup) -> ET.Element:
    """The markup as XML, which is stricter than HTML: whatever is left open or unescaped fails here."""
    return ET.fromstring(f"<root>{markup}</root>")  # noqa: S314 - our own


def rects(markup: Markup) -> list[tuple[str, float, float, float, float]]:
    found = parsed(markup).iter("rect")
    return [
        (item.get("class", ""), *(float(item.get(name, "0")) for name in ("x", "y", "width", "height")))
        for item in found
    ]


def points(markup: Markup) -> list[list[tuple[float, float]]]:
    found = [item.get("points", "").split() for item in parsed(markup).iter("polyline")]
    return [[(float(x), float(y)) for x, _, y in (point.partition(",") for point in line)] for line in found]


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        (0, [0, 1]),
        (1, [0, 0.25, 0.5, 0.75, 1]),
        (3, [0, 1, 2, 3]),
        (4, [0, 1, 2, 3, 4]),
        (7, [0, 2, 4, 6, 8]),
        (0.28, [0, 0.1, 0.2, 0.3]),
        (99, [0, 25, 50, 75, 100]),
        (1_000_001, [0, 500_000, 1_000_000, 1_500_000]),
        (1e-12, [0, 1]),
    ],
)
def test_an_axis_has_round_marks_from_zero_to_the_top_or_a_little_more(top: float, expected: list[float]) -> None:
    assert charts.ticks(top) == pytest.approx(expected)


@pytest.mark.parametrize("power", range(-6, 300, 7))
def test_an_axis_never_has_more_than_a_handful_of_marks_and_always_holds_its_top(power: int) -> None:
    for factor in (1.0, 1.3, 2.0, 3.7, 5.0, 9.99):
        top = factor * 10.0**power
        marks = charts.ticks(top)
        assert 3 <= len(marks) <= 6
        assert marks[-1] >= top * (1 - 1e-9)
        assert marks[-2] < top


def test_bars_stand_side_by_side_on_the_ground_and_are_as_high_as_their_value() -> None:
    chart = charts.bars("Spend", ["Mon", "Tue"], [Series("spent", (2.0, 4.0))], EUR)
    assert rects(chart) == [
        ("series-1", 70, HEIGHT / 2, 360, HEIGHT / 2),
        ("series-1", 570, 0, 360, HEIGHT),
    ]


def test_stacked_bars_stand_on_each_other_and_zero_is_not_drawn() -> None:
    chart = charts.bars("Spend", ["Mon", "Tue"], [Series("spent", (3.0, 0.0)), Series("held", (1.0, 2.0))], EUR)
    assert [(kind, y, height) for kind, _, y, _, height in rects(chart)] == [
        ("series-1", 50, 150),
        ("series-2", 0, 50),
        ("series-2", 100, 100),
    ]


def test_a_line_goes_through_the_middle_of_each_label_and_breaks_at_a_gap() -> None:
    chart = charts.lines("Wait", list("abcd"), [Series("p50", (1.0, 2.0, None, 4.0))], charts.seconds)
    dot = (875, 0)
    assert points(chart) == [[(125, 150), (375, 100)], [dot, dot]]  # one point alone is drawn as a dot


@pytest.mark.parametrize("draw", [charts.bars, charts.lines])
@pytest.mark.parametrize("values", [(), (0.0,), (0.0, 0.0)])
def test_where_there_is_nothing_the_chart_says_so_and_draws_no_axes(draw, values: tuple[float, ...]) -> None:  # type: ignore[no-untyped-def]
    chart = draw("Spend", ["x"] * len(values), [Series("spent", values)], EUR)
    assert "Nothing yet." in chart
    assert parsed(chart).find(".//svg") is None


@pytest.mark.parametrize("draw", [charts.bars, charts.lines])
@pytest.mark.parametrize("value", [1e-6, 0.01, 1.0, 1e15, 1e300])
def test_one_value_of_any_size_stays_inside_the_drawing(draw, value: float) -> None:  # type: ignore[no-untyped-def]
    chart = draw("Spend", ["today"], [Series("spent", (value,))], EUR)
    heights = [y for _, _, y, _, _ in rects(chart)] + [y for line in points(chart) for _, y in line]
    assert heights
    assert all(0 <= y <= HEIGHT / 2 for y in heights)
    assert "e+" not in "".join(item.get("points", "") for item in parsed(chart).iter("polyline"))


@pytest.mark.parametrize("draw", [charts.bars, charts.lines])
@pytest.mark.parametrize("value", [-0.01, math.nan, math.inf, -math.inf])
def test_what_is_no_amount_is_refused(draw, value: float) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="negative or no number"):
        draw("Spend", ["a", "b"], [Series("spent", (1.0, value))], EUR)


@pytest.mark.parametrize("draw", [charts.bars, charts.lines])
def test_series_of_another_length_and_too_many_of_them_are_refused(draw) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="has 1 values for 2 labels"):
        draw("Spend", ["a", "b"], [Series("spent", (1.0,))], EUR)
    with pytest.raises(ValueError, match="at most 6 series"):
        draw("Spend", ["a"], [Series(str(number), (1.0,)) for number in range(7)], EUR)


@pytest.mark.parametrize(
    ("limit", "spent", "held", "strain", "widths"),
    [
        (50, 0, 0, "budget", (0, 0)),
        (50, 10, 5, "budget", (200, 100)),
        (50, 39, 1, "budget near", (780, 20)),
        (50, 50, 0, "budget full", (1000, 0)),
        (10, 30, 10, "budget full", (750, 250)),  # the limit was lowered under what is spent
        (0, 0, 0, "budget full", (0, 0)),
    ],
)
def test_a_budget_is_a_bar_of_what_is_spent_and_held(
    limit: float, spent: float, held: float, strain: str, widths: tuple[float, float]
) -> None:
    bar = charts.budget("10 of 50", limit=limit, spent=spent, held=held)
    (whole, of_spent, of_held) = rects(bar)
    assert parsed(bar)[0].get("class") == strain
    assert whole == ("whole", 0, 0, WIDTH, charts.BAR_HEIGHT)
    assert (of_spent[3], of_held[3]) == widths
    assert of_held[1] == widths[0]  # held begins where spent ends


@pytest.mark.parametrize("amounts", [(-1, 0, 0), (1, -1, 0), (1, 0, math.nan), (math.inf, 0, 0)])
def test_a_budget_of_what_is_no_amount_is_refused(amounts: tuple[float, float, float]) -> None:
    limit, spent, held = amounts
    with pytest.raises(ValueError, match="finite and not negative"):
        charts.budget("odd", limit=limit, spent=spent, held=held)


def test_a_chart_says_in_words_what_it_shows_and_has_its_numbers_as_a_table() -> None:
    chart = charts.bars("Spend", ["Mon", "Tue"], [Series("spent", (2.0, 4.5)), Series("held", (None, 1.0))], EUR)
    svg = next(item for item in parsed(chart).iter("svg") if item.get("role") == "img")
    assert (svg.findtext("title"), svg.findtext("desc")) == ("Spend", "The highest is 5.50 EUR.")
    rows = [["".join(cell.itertext()) for cell in row] for row in parsed(chart).iter("tr")]
    assert rows == [["", "spent", "held"], ["Mon", "2.00 EUR", "–"], ["Tue", "4.50 EUR", "1.00 EUR"]]


def test_only_as_many_labels_are_said_as_have_room_on_a_telephone() -> None:
    days = [f"{day}." for day in range(1, 31)]
    chart = charts.bars("Spend", days, [Series("spent", tuple(float(day) for day in range(1, 31)))], EUR)
    labels = next(item for item in parsed(chart).iter("ol") if item.get("class") == "labels")
    said = [item.text or "" for item in labels]
    assert len(said) == 30
    assert [label for label in said if label] == ["1.", "6.", "11.", "16.", "21.", "26."]


def test_foreign_words_are_words_and_no_chart_has_a_style() -> None:
    evil = "</title><script>alert(1)</script>\"'&"
    drawn = [
        charts.bars(evil, [evil], [Series(evil, (1.0,)), Series("b", (1.0,))], charts.money(evil)),
        charts.lines(evil, [evil], [Series(evil, (1.0,)), Series("b", (1.0,))], charts.money(evil)),
        charts.bars(evil, [], [], EUR),
        charts.budget(evil, limit=1, spent=0, held=0),
    ]
    for chart in drawn:
        assert "<script" not in chart
        assert not list(parsed(chart).iter("script"))
        assert not [item for item in parsed(chart).iter() if "style" in item.attrib or item.tag == "style"]


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (EUR, 0, "0 EUR"),
        (EUR, 0.28, "0.28 EUR"),
        (EUR, 0.0012, "0.0012 EUR"),
        (EUR, 1234.5, "1234.50 EUR"),
        (EUR, 12_345, "12.35k EUR"),
        (EUR, 3_400_000, "3400k EUR"),
        (EUR, 34_000_000, "34M EUR"),
        (charts.seconds, 0.004, "4 ms"),
        (charts.seconds, 0.25, "0.25 s"),
        (charts.seconds, 12, "12 s"),
        (charts.seconds, 900, "15 min"),
    ],
)
def test_numbers_are_written_as_people_read_them(write: charts.Write, value: float, text: str) -> None:
    assert write(value) == text
