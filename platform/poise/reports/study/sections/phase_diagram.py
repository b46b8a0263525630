"""Makes the section about outcomes for two hyperparameters: where training collapses.

In: a phase diagram. Out: a chart of coloured cells. Next: the page.
"""

from itertools import pairwise

from plotly.graph_objects import Figure, Heatmap

from poise.config.wording import listed
from poise.reports.page.figure_layout import frame
from poise.reports.page.outcome_styles import look
from poise.reports.page.page_elements import Cell, Chart, Section, literal, table
from poise.reports.study.sentences import SMALL_PRINT, label, pooled
from poise.reports.study.terms import COUNTED_ARE
from poise.studies.analysis.phase_diagram import PhaseCell, PhaseDiagram
from poise.studies.findings.findings import Findings
from poise.studies.number_format import certainty, chance, out_of, shown

_INK = "#1a1a1a"  # readable on every colour of a cell, on light and dark pages
_COLUMNS_WITH_WORDS = 3
"""Largest number of columns for which the words of a verdict fit on a phone's screen."""


def phase(findings: Findings) -> Section | None:
    """Makes the section with the phase diagram, or returns None if there is no phase diagram."""
    diagram = findings.phase
    if diagram is None or not diagram.cells:
        return None
    over = diagram.x.name if diagram.y is None else f"{diagram.x.name} and {diagram.y.name}"
    found = findings.comparison
    metric, decimals = label(findings, found.metric), found.decimals
    chart = Chart(
        "phase",
        _figure(diagram, found.condemned_as, decimals),
        _conclusion(diagram, over),
        f"The map shows the outcome of training for each value of {over}. The colour and the sign "
        f"of a cell show the most frequent verdict. The bold number is the mean of {metric}. The "
        f"last line of a cell says how many trials {found.condemned_as}. For example, “2/3” means "
        f"2 of 3 trials. {COUNTED_ARE}"
        f"{pooled(diagram.pooled, 'Each cell')}{_empty(diagram)}",
        table(
            f"The table shows the outcome for each value of {over}. {SMALL_PRINT}",
            [
                *(axis.name for axis in (diagram.x, diagram.y) if axis is not None),
                *("verdict", metric, found.condemned_as),
            ],
            [_row(diagram, cell, decimals) for cell in diagram.cells],
            numbers=[3 if diagram.y else 2],
        ),
        tuple(dict.fromkeys(_key(cell.outcome) for cell in diagram.cells)),
    )
    because = (diagram.chosen_because,) if diagram.chosen_because else ()
    return Section("phase-diagram", "Where training collapses", because, charts=(chart,))


def _figure(diagram: PhaseDiagram, failing: str, decimals: int) -> Figure:
    kinds = list(dict.fromkeys(look(cell.outcome).color for cell in diagram.cells))
    rows = diagram.y.labels if diagram.y else ("",)
    with_words = len(diagram.x.labels) <= _COLUMNS_WITH_WORDS
    figure = frame(100 + 82 * len(rows))
    figure.add_trace(
        Heatmap(
            x=[cell.x for cell in diagram.cells],
            y=[cell.y for cell in diagram.cells],
            z=[kinds.index(look(cell.outcome).color) for cell in diagram.cells],
            text=[_inside(cell, decimals, with_words) for cell in diagram.cells],
            hovertext=[_hover(diagram, cell, failing) for cell in diagram.cells],
            texttemplate="%{text}",
            textfont={"color": _INK, "size": 13},
            hoverinfo="text",
            colorscale=_steps(kinds),
            zmin=-0.5,
            zmax=len(kinds) - 0.5,
            showscale=False,
            xgap=3,
            ygap=3,
        )
    )
    _label(figure.update_xaxes, diagram.x.labels, diagram.x.name)
    _label(figure.update_yaxes, rows, diagram.y.name if diagram.y else "")
    figure.update_layout(margin={"t": 8}, dragmode=False)
    figure.update_yaxes(showgrid=False)
    return figure


def _label(update: object, labels: tuple[str, ...], title: str) -> None:
    update(  # type: ignore[operator]
        tickvals=list(range(len(labels))),
        ticktext=[literal(label) for label in labels],
        title={"text": literal(title)},
        range=[-0.5, len(labels) - 0.5],
        fixedrange=True,
        showline=False,
        ticks="",
        automargin=True,
    )


def _steps(colors: list[str]) -> list[tuple[float, str]]:
    """Makes a Plotly colour scale of flat steps, one per colour."""
    edges = [index / len(colors) for index in range(len(colors) + 1)]
    return [
        (edge, color) for color, ends in zip(colors, pairwise(edges), strict=True) for edge in ends
    ]


def _inside(cell: PhaseCell, decimals: int, with_words: bool) -> str:
    shape = look(cell.outcome)
    first = f"{shape.glyph} {shape.word}" if with_words else shape.glyph
    figure = shown(cell.metric.value, decimals)
    share = out_of(cell.condemned).replace(" of ", "/")
    return f"{literal(first)}<br><b>{figure}</b><br>{share}"


def _hover(diagram: PhaseDiagram, cell: PhaseCell, failing: str) -> str:
    words = [f"{diagram.x.name} {diagram.x.labels[cell.x]}"]
    words += [f"{diagram.y.name} {diagram.y.labels[cell.y]}"] if diagram.y else []
    words += [f"{count} × {outcome}" for outcome, count in cell.outcomes.items()]
    ends = chance(cell.condemned)
    words += [f"{out_of(cell.condemned)} {failing}{f' ({ends})' if ends else ''}"]
    words += [f"trials {', '.join(cell.trials[:6])}{'…' if len(cell.trials) > 6 else ''}"]
    return "<br>".join(map(literal, words))


def _row(diagram: PhaseDiagram, cell: PhaseCell, decimals: int) -> list[str | Cell]:
    return [
        diagram.x.labels[cell.x],
        *([diagram.y.labels[cell.y]] if diagram.y else []),
        f"{look(cell.outcome).glyph} {cell.outcome}",
        Cell(
            shown(cell.metric.value, decimals),
            certainty(cell.metric, len(cell.trials), decimals),
        ),
        Cell(out_of(cell.condemned), chance(cell.condemned)),
    ]


def _empty(diagram: PhaseDiagram) -> str:
    cells = len(diagram.x.labels) * (len(diagram.y.labels) if diagram.y else 1)
    return " An empty cell has no trial." if len(diagram.cells) < cells else ""


def _key(outcome: str) -> tuple[str, str, str]:
    shape = look(outcome)
    return shape.color, shape.glyph, shape.word


def _conclusion(diagram: PhaseDiagram, over: str) -> str:
    outcomes = [look(cell.outcome).word for cell in diagram.cells]
    counts = {word: outcomes.count(word) for word in dict.fromkeys(outcomes)}
    said = listed(f"{count} mostly {word}" for word, count in counts.items())
    return f"{len(outcomes)} cells over {over}: {said}."
