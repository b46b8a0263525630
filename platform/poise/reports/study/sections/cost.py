"""Makes the section about the cost of the study and the steps that early stopping saved.

In: the findings of a study. Out: sentences, and a chart with the steps of every trial. Next: the
page.
"""

from plotly.graph_objects import Bar, Figure

from poise.reports.page.figure_layout import frame
from poise.reports.page.outcome_styles import stroke
from poise.reports.page.page_elements import Chart, Section, literal, table
from poise.reports.study.cost_sentences import saved, spent
from poise.studies.analysis.cost import Cost
from poise.studies.findings.findings import Findings
from poise.studies.number_format import NOTHING, shown


def cost(findings: Findings) -> Section | None:
    """Makes the section about steps and time, or returns None if no trial has begun."""
    found = findings.cost
    if not found.trials:
        return None
    chart = Chart(
        "cost",
        _figure(found),
        spent(found),
        "Each bar shows how many steps a trial trained. If the trial was stopped early, the bar "
        "also shows how many planned steps this saved.",
        table(
            "Steps and time of every trial",
            ["trial", "state", "trained steps", "planned steps", "saved steps", "minutes"],
            [
                [
                    each.trial,
                    f"{each.state} by {each.stopped_by}" if each.stopped_by else each.state,
                    shown(each.steps, 0),
                    shown(each.total_steps, 0) if each.total_steps else NOTHING,
                    shown(each.saved_steps, 0),
                    shown(60 * each.hours, 1),
                ]
                for each in found.trials
            ],
            numbers=[2, 3, 4, 5],
        ),
    )
    return Section("cost", "What it cost", (spent(found), saved(found)), charts=(chart,))


def _figure(found: Cost) -> Figure:
    figure = frame(300)
    names = [literal(each.trial) for each in found.trials]
    for number, (title, steps) in enumerate(
        (
            ("trained steps", [each.steps for each in found.trials]),
            ("saved steps", [each.saved_steps for each in found.trials]),
        )
    ):
        figure.add_trace(
            Bar(
                name=title,
                x=names,
                y=steps,
                marker={"color": stroke(number).color, "pattern": {"shape": ("", "/")[number]}},
                hovertemplate="%{x}: %{y} steps",
            )
        )
    figure.update_layout(barmode="stack", showlegend=True, margin={"t": 8}, bargap=0.25)
    figure.update_xaxes(type="category", tickangle=-90 if len(names) > 8 else 0, automargin=True)
    figure.update_yaxes(title={"text": "steps"})
    return figure
