"""Parts of a study's figures: stacked panels, curves with bands, and reference lines.

In: numbers. Out: Plotly figures. Next: the page's sections.
"""

from collections.abc import Sequence

from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from poise.reports.page.figure_layout import framed, rounded
from poise.reports.page.outcome_styles import Stroke, faint
from poise.reports.page.page_elements import literal

REFERENCE_LINE = {"width": 1, "dash": "dot", "color": "#888"}

FEW_SYMBOLS = 9
"""Number of symbols on a curve. With so few symbols, the curve stays visible."""


def stacked(titles: Sequence[str], heights: Sequence[float], height: int) -> Figure:
    """Makes an empty figure of panels above each other, with one horizontal axis."""
    figure = make_subplots(
        rows=len(titles),
        shared_xaxes=True,
        vertical_spacing=0.12,
        row_heights=list(heights),
        subplot_titles=[literal(title) for title in titles],
    )
    figure.update_annotations(x=0, xanchor="left", font={"size": 13}, yshift=4)
    return framed(figure, height)


def line(
    name: str, steps: Sequence[int], values: Sequence[float | None], look: Stroke, legend: bool
) -> Scatter:
    """Makes a curve with the colour, dash pattern and symbol of ``look``."""
    return Scatter(
        name=literal(name),
        x=list(steps),
        y=[rounded(value) for value in values],
        mode="lines+markers",
        line={"color": look.color, "dash": look.dash, "width": 2},
        marker={"symbol": look.symbol, "size": 7, "maxdisplayed": FEW_SYMBOLS},
        legendgroup=literal(name),
        showlegend=legend,
        hovertemplate="step %{x}: %{y:.3g}",
    )


def alone(name: str, steps: Sequence[int], values: Sequence[float | None], look: Stroke) -> Scatter:
    """Makes the curve of one seed after the step where the mean over seeds ends."""
    return Scatter(
        x=list(steps),
        y=[rounded(value) for value in values],
        mode="lines",
        line={"color": look.color, "dash": "dot", "width": 1},
        legendgroup=literal(name),
        showlegend=False,
        hovertemplate="one seed, step %{x}: %{y:.3g}<extra></extra>",
    )


def band(
    name: str, steps: Sequence[int], low: Sequence[float], high: Sequence[float], look: Stroke
) -> Scatter:
    """Makes the band between a lower and an upper curve."""
    return Scatter(
        x=[*steps, *reversed(steps)],
        y=[rounded(value) for value in (*high, *reversed(low))],
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=faint(look.color),
        legendgroup=literal(name),
        showlegend=False,
        hoverinfo="skip",
    )


def refer(figure: Figure, row: int, references: Sequence[tuple[float, str]]) -> None:
    """Draws thin horizontal lines in a panel, with their meaning at the right end.

    The left end is kept free for the rings that mark early collapses.
    """
    if not references:
        return
    drawn = [y for trace in figure.data if _row_of(trace) == row for y in trace.y if y is not None]
    ends = [*drawn, *(value for value, _ in references)]
    low, high = min(ends), max(ends)
    room = 0.13 * (high - low)
    figure.update_yaxes(range=[low - room, high + room], row=row, col=1)
    for value, words in references:
        figure.add_hline(
            y=value,
            row=row,
            col=1,
            line=REFERENCE_LINE,
            annotation={"text": literal(words), "font": {"size": 11}},
            annotation_position="bottom right" if value == low else "top right",
        )


def _row_of(trace: Scatter) -> int:
    return int((trace.yaxis or "y").removeprefix("y") or 1)
