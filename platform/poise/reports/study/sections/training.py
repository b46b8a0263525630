"""Makes the section with curves over time: a teacher's entropy and KL, or a decoder's loss.

The two panels for a teacher are those of DINO's Fig. 7 (arXiv 2104.14294).

In: the curves of every setting. Out: a chart with a mean curve and a band over seeds for each
setting. Next: the page.
"""

from plotly.graph_objects import Figure, Scatter

from poise.config.wording import listed
from poise.reports.page.outcome_styles import marked, stroke
from poise.reports.page.page_elements import Cell, Chart, Section, Table, literal, table
from poise.reports.study.course_sentences import COURSE_ROWS, dashes
from poise.reports.study.figures import alone, band, line, refer, stacked
from poise.reports.study.sentences import NAMES_ARE, label, since
from poise.studies.analysis.curves import COURSE, BandCurve
from poise.studies.findings.findings import Findings, SettingCurves
from poise.studies.number_format import NOTHING, shown

MOST_LINES = 8
"""Largest number of settings in one chart. A reader cannot distinguish more."""

PANELS = (
    "teacher/entropy_over_ln_k",
    "teacher/kl_over_ln_k",
    "loss/over_mean_patch",
    "prediction/std_over_target",
)
"""Metrics that have a panel: two for a teacher, two for a decoder."""

REFERENCES = {
    "teacher/entropy_over_ln_k": ((1.0, "ln K: uniform"), (0.0, "0: one prototype")),
    "teacher/kl_over_ln_k": ((0.0, "0: student and teacher agree"),),
    "loss/over_ln_k": ((1.0, "ln K"),),
    "loss/over_mean_patch": ((1.0, "predicting the mean patch"),),
    "prediction/std_over_target": ((1.0, "as varied as the patches"), (0.0, "all equal")),
}
"""Maps each metric to its reference values, each with its meaning."""


def training(findings: Findings) -> Section | None:
    """Makes the section with the curves of training.

    Returns None if no metric of a panel was logged.
    """
    logged = [s for s in findings.settings if any(c.metric in PANELS for c in s.curves)]
    if not logged:
        return None
    drawn = _chosen(logged)
    seen = {curve.metric for each in drawn for curve in each.curves}
    metrics = tuple(metric for metric in PANELS if metric in seen)
    titles = [label(findings, metric) for metric in metrics]
    chart = Chart(
        "training",
        _figure(drawn, metrics, titles),
        _conclusion(drawn),
        _caption(findings, titles, len(drawn), len(logged)),
        _table(drawn, metrics, titles, findings.comparison.standing.is_over),
    )
    return Section("over-time", _title(metrics), charts=(chart,))


def _title(metrics: tuple[str, ...]) -> str:
    of_teacher = any(metric.startswith("teacher/") for metric in metrics)
    return "Entropy and divergence over time" if of_teacher else "Reconstruction over time"


def _chosen(settings: list[SettingCurves]) -> list[SettingCurves]:
    """Returns the settings that are drawn, at most ``MOST_LINES``.

    If there are more, it chooses the baseline and some settings of each outcome.
    """
    if len(settings) <= MOST_LINES:
        return settings
    seen: dict[str, int] = {}
    ranks = []
    for index, each in enumerate(settings):
        seen[each.outcome] = seen.get(each.outcome, 0) + 1
        ranks.append((not each.is_baseline, seen[each.outcome], index))
    kept = sorted(index for *_, index in sorted(ranks)[:MOST_LINES])
    return [settings[index] for index in kept]


def _figure(drawn: list[SettingCurves], metrics: tuple[str, ...], titles: list[str]) -> Figure:
    figure = stacked(titles, [1.0] * len(metrics), 90 + 210 * len(metrics))
    for row, metric in enumerate(metrics, start=1):
        for number, each in enumerate(drawn):
            for curve in each.curves:
                if curve.metric == metric:
                    for trace in _traces(each, curve, number, legend=row == 1):
                        figure.add_trace(trace, row=row, col=1)
        refer(figure, row, REFERENCES.get(metric, ()))
    figure.update_xaxes(title={"text": "step"}, row=len(metrics), col=1)
    figure.update_layout(showlegend=True)
    return figure


def _traces(each: SettingCurves, curve: BandCurve, number: int, legend: bool) -> list[Scatter]:
    look = stroke(number)
    traces = [line(each.label, curve.steps, curve.mean, look, legend)]
    if curve.n > 1:
        traces.insert(0, band(each.label, curve.steps, curve.low, curve.high, look))
    traces += [alone(each.label, seed.steps, seed.values, look) for seed in curve.rest]
    if each.onset_step is not None and curve.steps:
        traces.append(_onset(each, curve, look.color))
    return traces


def _onset(each: SettingCurves, curve: BandCurve, color: str) -> Scatter:
    """Draws a ring on the curve at the median step at which the failed trials began to fail."""
    assert each.onset_step is not None
    index = min(range(len(curve.steps)), key=lambda i: abs(curve.steps[i] - (each.onset_step or 0)))
    return Scatter(
        x=[curve.steps[index]],
        y=[curve.mean[index]],
        mode="markers",
        marker={
            "symbol": "circle-open-dot",
            "size": 15,
            "color": color,
            "line": {"width": 2},
        },
        legendgroup=literal(each.label),
        showlegend=False,
        hovertemplate="failed trials began to fail at step %{x} (median)<extra></extra>",
    )


def _caption(findings: Findings, titles: list[str], drawn: int, logged: int) -> str:
    sentences = [f"The curves show {listed(titles)} over training steps."]
    if any(len(row.trials) > 1 for row in findings.comparison.rows):
        sentences.append(
            "A line is the mean over seeds. The band around it reaches from the smallest to the "
            "largest value of a seed. A line ends where the first seed ends. Thin dotted lines are "
            "seeds that trained longer."
        )
    if any(row.onset_step is not None for row in findings.comparison.rows):
        sentences.append(
            "A ring marks the median step at which the failed trials of a setting began to fail."
        )
    if drawn < logged:
        sentences.append(
            f"The chart shows {drawn} of {logged} settings, with examples of each outcome."
        )
    if not findings.comparison.fits:
        sentences.append(NAMES_ARE)
    return " ".join(sentences)


def _table(
    drawn: list[SettingCurves], metrics: tuple[str, ...], titles: list[str], is_over: bool
) -> Table:
    return table(
        f"{COURSE_ROWS}{dashes(drawn, metrics, is_over)} The range in small print is from the "
        "smallest to the largest seed.",
        ["setting", "outcome", "at", *titles],
        [
            [
                each.label,
                Cell(marked(each.outcome), _since(each)),
                place,
                *(_point(each, metric, index) for metric in metrics),
            ]
            for each in drawn
            for index, place in enumerate(COURSE)
        ],
        numbers=range(3, 3 + len(metrics)),
    )


def _point(each: SettingCurves, metric: str, index: int) -> Cell:
    curve = next((curve for curve in each.curves if curve.metric == metric), None)
    found = None if curve is None else curve.course[index]
    if curve is None or found is None:
        return Cell(NOTHING)
    spread = f"{shown(found.low)} to {shown(found.high)}, n = {curve.n}" if curve.n > 1 else ""
    return Cell(shown(found.mean), spread)


def _since(each: SettingCurves) -> str:
    return since(each.onset_step, each.failed, each.num_trials)


def _conclusion(drawn: list[SettingCurves]) -> str:
    return "; ".join(
        ", ".join(filter(None, [f"{each.label}: {each.outcome}", _since(each)])) for each in drawn
    )
