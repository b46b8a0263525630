"""Margins, axes and text style that all figures share.

In: a height. Out: an empty Plotly figure. The page's script adds the colours of text and background
from the style sheet, light or dark. Next: figures of studies and of embedding maps.
"""

from plotly.graph_objects import Figure


def frame(height: int) -> Figure:
    """Makes an empty figure with one panel and the given height in pixels."""
    return framed(Figure(), height)


def framed(figure: Figure, height: int) -> Figure:
    """Gives a figure the margins, axes and text style of the page."""
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 56, "r": 14, "t": 28, "b": 48},
        font={"size": 13},
        hovermode="closest",
        showlegend=False,
        legend={"orientation": "h", "x": 0, "y": 0, "yanchor": "bottom", "yref": "container"},
    )
    title = {"font": {"size": 13}, "standoff": 8}
    figure.update_xaxes(
        showline=True, ticks="outside", zeroline=False, showgrid=False, automargin=True, title=title
    )
    figure.update_yaxes(zeroline=False, automargin=True, ticks="", nticks=6, title=title)
    return figure


def rounded(value: float | None) -> float | None:
    """Rounds the value to four significant digits. On a screen, the difference is not visible."""
    return None if value is None else float(f"{value:.4g}")
