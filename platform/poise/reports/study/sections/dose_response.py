"""Makes the section about the effect of each hyperparameter.

In: the outcome at each value of a hyperparameter. Out: a chart for each hyperparameter. Its upper
panel shows the metric, and its lower panel shows the share of failed trials. Next: the page.
"""

from collections.abc import Callable, Sequence
from typing import Any

from plotly.graph_objects import Figure, Scatter

from poise.reports.page.figure_layout import rounded
from poise.reports.page.outcome_styles import Stroke, stroke
from poise.reports.page.page_elements import Cell, Chart, Section, literal, table
from poise.reports.study.figures import stacked
from poise.reports.study.sentences import SMALL_PRINT, as_in_baseline, label, pooled
from poise.studies.analysis.dose_response import Dose, DoseResponse
from poise.studies.findings.findings import Findings
from poise.studies.findings.table import Comparison
from poise.studies.number_format import certainty, chance, out_of, shown

Ends = tuple[float | None, float | None, float | None]
"""Value, and the lower and upper end of its interval."""


def doses(findings: Findings) -> Section | None:
    """Makes the section with the outcome at each value of each hyperparameter.

    Returns None if the study varies nothing.
    """
    if not findings.doses:
        return None
    found, share = findings.comparison, 0.48 if len(findings.doses) > 1 else 1.0
    metric = label(findings, found.metric)
    charts = [
        _chart(number, response, metric, found, share)
        for number, response in enumerate(findings.doses)
    ]
    return Section("dose-response", "Effect of each hyperparameter", charts=tuple(charts))


def _chart(
    number: int, response: DoseResponse, metric: str, found: Comparison, share: float
) -> Chart:
    rest = pooled(response.pooled, "Each point") + as_in_baseline(response, "chart")
    return Chart(
        f"dose-{number}",
        _figure(response, metric, found.condemned_as),
        _conclusion(response, metric, found),
        f"The upper panel shows {metric} for each value of {response.name}. The lower panel shows "
        f"the percentage of trials that {found.condemned_as}.{rest} Bars are 95 % intervals."
        f"{_tests(found)}",
        table(
            f"The table shows the effect of {response.name}. {SMALL_PRINT}",
            [response.name, metric, found.condemned_as],
            [_row(dose, found.decimals) for dose in response.doses],
            numbers=[1],
        ),
        share=share,
    )


def _tests(found: Comparison) -> str:
    has_tests = any(row.difference and row.difference.p_holm is not None for row in found.rows)
    if not has_tests:
        return ""
    return " Use this chart only as a guide, because the tests are in the table of settings."


def _row(dose: Dose, decimals: int) -> list[str | Cell]:
    of = len(dose.trials)
    return [
        dose.label,
        Cell(shown(dose.metric.value, decimals), certainty(dose.metric, of, decimals)),
        Cell(out_of(dose.condemned), chance(dose.condemned)),
    ]


def _figure(response: DoseResponse, metric: str, failing: str) -> Figure:
    figure = stacked([metric, f"percentage of trials that {failing}"], [0.62, 0.38], 400)
    by_name = response.scale == "ordered"
    x = [index if by_name else dose.value for index, dose in enumerate(response.doses)]
    figure.add_trace(_points(x, response, _of_metric, stroke(0)), row=1, col=1)
    figure.add_trace(_points(x, response, _of_share, stroke(1)), row=2, col=1)
    figure.update_yaxes(range=[-6, 106], tickvals=[0, 50, 100], row=2, col=1)
    figure.update_xaxes(
        type="log" if response.scale == "log" else "linear",
        tickvals=x,
        ticktext=[literal(dose.label) for dose in response.doses],
        automargin=True,
    )
    if by_name:
        figure.update_xaxes(range=[-0.5, len(x) - 0.5])
    figure.update_xaxes(title={"text": literal(response.name)}, row=2, col=1)
    return figure


def _of_metric(dose: Dose) -> Ends:
    return dose.metric.value, dose.metric.low, dose.metric.high


def _of_share(dose: Dose) -> Ends:
    share = dose.condemned
    if share.value is None:
        return None, None, None
    low, high = ((None if end is None else 100 * end) for end in (share.low, share.high))
    return 100 * share.value, low, high


def _points(
    x: Sequence[Any], response: DoseResponse, ends: Callable[[Dose], Ends], look: Stroke
) -> Scatter:
    """Draws points with their intervals. A line joins the points if the axis has numbers."""
    found = [ends(dose) for dose in response.doses]
    return Scatter(
        x=list(x),
        y=[rounded(value) for value, _, _ in found],
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [_length(value, high) for value, _, high in found],
            "arrayminus": [_length(low, value) for value, low, _ in found],
            "color": look.color,
            "thickness": 1.5,
            "width": 4,
        },
        mode="markers" if response.scale == "ordered" else "lines+markers",
        line={"color": look.color, "dash": look.dash, "width": 1.5},
        marker={"symbol": look.symbol, "size": 9, "color": look.color},
        text=[literal(f"{response.name} {dose.label}") for dose in response.doses],
        hovertemplate="%{text}: %{y:.3g}<extra></extra>",
    )


def _length(low: float | None, high: float | None) -> float:
    return 0 if low is None or high is None else max(rounded(high - low) or 0, 0)


def _conclusion(response: DoseResponse, metric: str, found: Comparison) -> str:
    said = [
        f"at {dose.label} {metric} {shown(dose.metric.value, found.decimals)}, "
        f"{out_of(dose.condemned)} {found.condemned_as}"
        for dose in response.doses
    ]
    return f"{response.name}: {'; '.join(said)}."
