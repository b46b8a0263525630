"""Makes the section about metrics that could choose a backbone without labels.

In: choices by metrics without labels. Out: a table and a chart of rank correlations. Next: the
page.
"""

from plotly.graph_objects import Figure, Scatter

from poise.reports.page.figure_layout import frame, rounded
from poise.reports.page.outcome_styles import stroke
from poise.reports.page.page_elements import Cell, Chart, Section, literal, table
from poise.reports.study.choice_sentences import (
    CORRELATION_IS,
    GUIDE,
    choosing,
    lost_means,
    lost_words,
    target_decimals,
)
from poise.reports.study.sentences import label
from poise.studies.analysis.label_free_choice import Choice, Selection, Selector
from poise.studies.findings.findings import Findings
from poise.studies.number_format import NOTHING, shown, signed


def selection(findings: Findings) -> Section | None:
    """Makes the section about choosing a trial by metrics without labels.

    Returns None if no trial has a value of a metric that needs labels.
    """
    found = findings.selection
    if found is None or not found.selectors:
        return None
    target, decimals = label(findings, found.target), target_decimals(found)
    names = [label(findings, each.metric) for each in found.selectors]
    lost = lost_words(found.target)
    chart = Chart(
        "selection",
        _figure(found, names),
        _conclusion(found, names),
        f"The chart shows Spearman's rank correlation between each metric without labels and "
        f"{target}. {CORRELATION_IS} {GUIDE}",
        table(
            "Each metric chooses the trial with its largest or smallest value. "
            f"{lost_means(found.target)}",
            ["metric", "chooses", "correlation", "chosen trial", lost,
             "correlation (healthy trials)", "chosen trial (healthy trials)",
             f"{lost} (healthy trials)"],
            [_row(each, name, decimals) for each, name in zip(found.selectors, names, strict=True)],
            numbers=[2, 4, 5, 7],
        ),
    )  # fmt: skip
    told = (choosing(findings, found),)
    return Section("without-labels", "Choosing without labels", told, charts=(chart,))


def _figure(found: Selection, names: list[str]) -> Figure:
    figure = frame(90 + 34 * len(names))
    for number, (title, choices) in enumerate(
        (
            ("all trials", [each.everything for each in found.selectors]),
            ("healthy trials", [each.healthy for each in found.selectors]),
        )
    ):
        look = stroke(number)
        figure.add_trace(
            Scatter(
                name=title,
                x=[rounded(choice.correlation.value) for choice in choices],
                y=[literal(name) for name in names],
                mode="markers",
                marker={"symbol": look.symbol, "size": 11, "color": look.color},
                hovertemplate="%{y}: %{x:.2f}",
            )
        )
    figure.update_xaxes(range=[-1.08, 1.08], tickvals=[-1, -0.5, 0, 0.5, 1], showgrid=True)
    figure.update_xaxes(title={"text": "rank correlation"}, zeroline=True)
    figure.update_yaxes(autorange="reversed", showgrid=True, type="category", nticks=0)
    figure.update_layout(showlegend=True, margin={"t": 8})
    return figure


def _row(each: Selector, name: str, decimals: int) -> list[str | Cell]:
    takes = "the largest" if each.mode == "max" else "the smallest"
    return [name, takes, *_choice(each.everything, decimals), *_choice(each.healthy, decimals)]


def _choice(choice: Choice, decimals: int) -> list[str | Cell]:
    found = choice.correlation
    return [
        Cell(signed(found.value, 2), f"n = {found.n}"),
        Cell(choice.trial or NOTHING, shown(choice.value, decimals) if choice.trial else ""),
        shown(choice.regret, decimals),
    ]


def _conclusion(found: Selection, names: list[str]) -> str:
    said = [
        f"{name} {signed(each.everything.correlation.value, 2)}"
        for each, name in zip(found.selectors, names, strict=True)
    ]
    return f"Rank correlations over all trials: {', '.join(said)}."
