"""The page's twin for those who read plain text: a pull request, a terminal, a diff.

In: findings. Out: Markdown in the page's order. Next: ``report.md``.
"""

from collections.abc import Iterator, Sequence

from poise.sweeps.curves import BandCurve
from poise.sweeps.digits import (
    NOTHING,
    certainty,
    chance,
    counted,
    p_value,
    percent,
    shown,
    signed,
)
from poise.sweeps.dose_response import DoseResponse, PhaseCell, PhaseDiagram
from poise.sweeps.estimates import Difference, Estimate
from poise.sweeps.findings import Findings, SettingCurves, TrialFinding
from poise.sweeps.report.markup import fenced, inline, table
from poise.sweeps.report.sentences import (
    COURSE,
    GUIDE,
    HOW_SURE,
    choosing,
    label,
    target_decimals,
)
from poise.sweeps.selection import Choice
from poise.sweeps.setting_rows import SettingRow
from poise.sweeps.wording import described


def render_markdown(findings: Findings) -> str:
    """The whole report."""
    sections = (
        _opening(findings),
        _comparison(findings),
        _phase(findings),
        _training(findings),
        _doses(findings),
        _trials(findings),
        _selection(findings),
        _cost(findings),
        _reproduction(findings),
    )
    return "\n".join(line for section in sections for line in section).rstrip() + "\n"


def _opening(findings: Findings) -> Iterator[str]:
    yield from (f"# {findings.study}", "")
    if findings.question:
        yield from (f"**Asked.** {inline(findings.question)}", "")
    yield from (f"**Answer.** {inline(' '.join(findings.answer))}", "")
    if findings.published:
        yield from (f"**Published.** {inline(findings.published)}", "")
    if findings.registered:
        yield from (f"**Registered.** Trial {findings.best} as `{findings.registered}`.", "")


def _comparison(findings: Findings) -> Iterator[str]:
    found = findings.comparison
    others = list(dict.fromkeys(name for row in found.rows for name in row.others))
    yield from ("## Settings compared", "")
    yield from table(
        [
            *("setting", label(findings, found.metric), "difference to the baseline", "p (Holm)"),
            found.condemned_as,
            *(label(findings, name) for name in others),
            *("verdicts", "onset"),
        ],
        (_setting(findings, row, others) for row in found.rows),
    )
    yield from (HOW_SURE, "")
    for note in (*found.notes, *(f"Advice: {advice}." for advice in findings.advice)):
        yield f"- {inline(note)}"
    yield ""


def _setting(findings: Findings, row: SettingRow, others: Sequence[str]) -> list[str]:
    found, of = findings.comparison, len(row.trials)
    return [
        f"{row.label} (baseline)" if row.is_baseline else row.label,
        _sure(row.mean, of, found.decimals),
        NOTHING if row.difference is None else _sure(row.difference, of, found.decimals),
        NOTHING if row.difference is None else p_value(row.difference.p_holm),
        _with(counted(row.condemned), chance(row.condemned)),
        *(_sure(row.others[name], of, found.decimals_of(name)) for name in others),
        _counts(row.verdicts),
        shown(row.onset_step, 0),
    ]


def _phase(findings: Findings) -> Iterator[str]:
    diagram = findings.phase
    if diagram is None:
        return
    yield from ("## Phase diagram", "")
    rows = diagram.y.labels if diagram.y else ("",)
    cells = {(cell.x, cell.y): cell for cell in diagram.cells}
    corner = f"{diagram.y.name} ↓ " if diagram.y else ""
    yield from table(
        [f"{corner}{diagram.x.name} →", *diagram.x.labels],
        (
            [
                row,
                *(
                    _cell(cells.get((x, y)), findings.comparison.decimals)
                    for x in range(len(diagram.x.labels))
                ),
            ]
            for y, row in enumerate(rows)
        ),
    )
    yield from (_phase_note(findings, diagram), "")


def _phase_note(findings: Findings, diagram: PhaseDiagram) -> str:
    found = findings.comparison
    text = (
        f"In a cell: the most frequent verdict, how many of the trials that are decided "
        f"{found.failed}, and the mean of {label(findings, found.metric)}."
    )
    if diagram.chosen_because:
        text += f" Shown are {diagram.chosen_because}."
    return inline(text + _pooled(diagram.pooled))


def _cell(cell: PhaseCell | None, decimals: int) -> str:
    if cell is None:
        return ""
    n = "" if cell.metric.n in (0, len(cell.trials)) else f"n = {cell.metric.n}"
    figure = _with(shown(cell.metric.value, decimals), n)
    return f"{cell.outcome}, {counted(cell.condemned)}, {figure}"


def _training(findings: Findings) -> Iterator[str]:
    drawn = [setting for setting in findings.settings if setting.curves]
    metrics = list(dict.fromkeys(curve.metric for each in drawn for curve in each.curves))
    if not metrics:
        return
    yield from ("## Over time", "", COURSE, "")
    yield from table(
        ["setting", "seeds", *(label(findings, metric) for metric in metrics)],
        (
            [
                each.label,
                str(max(curve.n for curve in each.curves)),
                *(_course(each, metric) for metric in metrics),
            ]
            for each in drawn
        ),
    )


def _course(setting: SettingCurves, metric: str) -> str:
    curve = next((curve for curve in setting.curves if curve.metric == metric), None)
    return NOTHING if curve is None else _points(curve)


def _points(curve: BandCurve) -> str:
    return " → ".join(NOTHING if at is None else shown(at.mean) for at in curve.course)


def _doses(findings: Findings) -> Iterator[str]:
    if findings.doses:
        yield from ("## Dose–response", "")
    for response in findings.doses:
        yield from _dose_table(findings, response)


def _dose_table(findings: Findings, response: DoseResponse) -> Iterator[str]:
    found = findings.comparison
    yield from table(
        [response.name, label(findings, found.metric), found.condemned_as],
        (
            [
                dose.label,
                _sure(dose.metric, len(dose.trials), found.decimals),
                _with(counted(dose.condemned), chance(dose.condemned)),
            ]
            for dose in response.doses
        ),
    )
    if response.pooled:
        yield from (inline(_pooled(response.pooled)), "")


def _trials(findings: Findings) -> Iterator[str]:
    found = findings.comparison
    yield from ("## Trials", "")
    yield from table(
        [
            *("trial", "settings", "seed", "verdict", "onset"),
            *(label(findings, found.metric), "steps", "evidence"),
        ],
        (_trial(trial, found.metric, found.decimals) for trial in findings.trials),
    )


def _trial(trial: TrialFinding, metric: str, decimals: int) -> list[str]:
    record = trial.record
    return [
        record.trial.name,
        _with(trial.label, described(record.changes)),
        str(record.trial.seed),
        _with(record.outcome, record.stopped_by and f"stopped by {record.stopped_by}"),
        shown(trial.onset_step, 0),
        shown(record.metrics.get(metric), decimals),
        shown(record.step, 0),
        record.verdict.evidence if record.verdict else record.reason,
    ]


def _selection(findings: Findings) -> Iterator[str]:
    found = findings.selection
    if found is None or not found.selectors:
        return
    decimals = target_decimals(found)
    yield from ("## Chosen without labels", "", inline(choosing(findings, found)), "")
    headers = ["metric"]
    for which in ("all trials", "healthy trials"):
        headers += [f"correlation, {which}", f"choice of {which}", "loses"]
    yield from table(
        headers,
        (
            [
                f"{label(findings, each.metric)} ({each.mode})",
                *_choice(each.everything, decimals),
                *_choice(each.healthy, decimals),
            ]
            for each in found.selectors
        ),
    )
    yield from (GUIDE, "")


def _choice(choice: Choice, decimals: int) -> list[str]:
    return [
        _with(signed(choice.correlation.value, 2), f"n = {choice.correlation.n}"),
        _with(choice.trial or NOTHING, shown(choice.value, decimals)),
        shown(choice.regret, decimals),
    ]


def _cost(findings: Findings) -> Iterator[str]:
    cost = findings.cost
    yield from ("## Cost", "")
    yield f"- {shown(cost.steps, 0)} steps of {shown(cost.total_steps, 0)} planned"
    saved = f", about {shown(cost.saved_hours)} hours" if cost.saved_hours else ""
    if cost.saved_steps and cost.saved_share is not None:
        yield f"- stopping early saved {percent(cost.saved_share)} of the steps{saved}"
    for stopper, count in cost.stopped.items():
        yield f"- {stopper} stopped {count} of {len(cost.trials)} trials"
    yield f"- {shown(cost.hours)} hours of trials, {shown(cost.images, 0)} images"
    if cost.images_per_s:
        yield f"- {shown(cost.images_per_s)} images/s of a trial, starts and evaluations included"
    yield ""


def _reproduction(findings: Findings) -> Iterator[str]:
    found = findings.reproduction
    seeds = ", ".join(map(str, found.seeds))
    yield from ("## Again", "", *fenced(found.command), "")
    fingerprint = f", fingerprint `{found.fingerprint}`" if found.fingerprint else ""
    yield from (inline(f"Dataset `{found.dataset}`{fingerprint}; seeds {seeds or NOTHING}."), "")
    if found.versions:
        yield ", ".join(f"{name} {version}" for name, version in found.versions.items()) + "."
        yield ""
    for name, text in (("The space", found.space_yaml), ("The recipe", found.recipe_yaml)):
        yield from (f"<details><summary>{name}</summary>", "", *fenced(text, "yaml"))
        yield from ("", "</details>", "")


def _sure(found: Estimate | Difference, of: int, decimals: int) -> str:
    show = signed if isinstance(found, Difference) else shown
    return _with(show(found.value, decimals), certainty(found, of, decimals))


def _with(text: str, aside: str | None) -> str:
    return f"{text} ({aside})" if aside and text != NOTHING else text


def _counts(verdicts: dict[str, int]) -> str:
    if len(verdicts) == 1:
        return next(iter(verdicts))
    return ", ".join(f"{count} × {outcome}" for outcome, count in verdicts.items())


def _pooled(names: Sequence[str]) -> str:
    return f" Pooled over {', '.join(names)}." if names else ""
