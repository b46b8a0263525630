"""The page's twin for those who read plain text: a pull request, a terminal, a diff.

In: findings. Out: Markdown in the page's order. Next: ``report.md``.
"""

from collections.abc import Iterable, Iterator, Sequence

from poise.sweeps.dose_response import DoseResponse, PhaseCell, PhaseDiagram
from poise.sweeps.findings import Findings, SettingCurves, TrialFinding
from poise.sweeps.outcomes import outcome
from poise.sweeps.report.digits import NOTHING, chance, counted, interval, p_value, shown, signed
from poise.sweeps.selection import Choice
from poise.sweeps.wording import described

_POINTS = (0.0, 0.25, 0.5, 1.0)
"""Of a training, at which its curves are read."""


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
        yield from (f"**Asked.** {_inline(findings.question)}", "")
    yield from (f"**Answer.** {' '.join(findings.answer)}", "")
    if findings.published:
        yield from (f"**Published.** {_inline(findings.published)}", "")
    if findings.registered:
        yield from (f"**Registered.** Trial {findings.best} as `{findings.registered}`.", "")


def _comparison(findings: Findings) -> Iterator[str]:
    found, label = findings.comparison, _label(findings, findings.comparison.metric)
    others = list(dict.fromkeys(name for row in found.rows for name in row.others))
    yield from ("## Settings compared", "")
    yield from _table(
        ["setting", label, "difference to the baseline", "p (Holm)", found.condemned_as]
        + [_label(findings, name) for name in others]
        + ["verdicts", "onset"],
        (
            [
                f"{row.label} (baseline)" if row.is_baseline else row.label,
                _with(shown(row.mean.value), interval(row.mean)),
                NOTHING
                if row.difference is None
                else _with(signed(row.difference.value), interval(row.difference)),
                NOTHING if row.difference is None else p_value(row.difference.p_holm),
                _with(counted(row.condemned), chance(row.condemned)),
                *(_with(shown(row.others[n].value), interval(row.others[n])) for n in others),
                _counts(row.verdicts),
                shown(row.onset_step, 0),
            ]
            for row in found.rows
        ),
    )
    yield "In brackets are 95 % intervals: of the mean over seeds, of the difference taken seed by"
    yield from ("seed, and, exact, of the chance behind the count.", "")
    for note in (*found.notes, *(f"Advice: {advice}." for advice in findings.advice)):
        yield f"- {note}"
    yield ""


def _phase(findings: Findings) -> Iterator[str]:
    diagram = findings.phase
    if diagram is None:
        return
    yield from ("## Phase diagram", "")
    rows = diagram.y.labels if diagram.y else ("",)
    cells = {(cell.x, cell.y): cell for cell in diagram.cells}
    corner = f"{diagram.y.name} ↓ " if diagram.y else ""
    yield from _table(
        [f"{corner}{diagram.x.name} →", *diagram.x.labels],
        (
            [row, *(_cell(cells.get((x, y))) for x in range(len(diagram.x.labels)))]
            for y, row in enumerate(rows)
        ),
    )
    yield from (_phase_note(findings, diagram), "")


def _phase_note(findings: Findings, diagram: PhaseDiagram) -> str:
    text = (
        "In a cell: the most frequent verdict, how many seeds were "
        f"{findings.comparison.condemned_as}, and the mean of "
        f"{_label(findings, findings.comparison.metric)}."
    )
    if diagram.chosen_because:
        text += f" Shown are {diagram.chosen_because}."
    return text + _pooled(diagram.pooled)


def _cell(cell: PhaseCell | None) -> str:
    if cell is None:
        return ""
    return f"{cell.outcome}, {counted(cell.condemned)}, {shown(cell.metric.value)}"


def _training(findings: Findings) -> Iterator[str]:
    drawn = [setting for setting in findings.settings if setting.curves]
    metrics = list(dict.fromkeys(curve.metric for each in drawn for curve in each.curves))
    if not metrics:
        return
    yield from ("## Over time", "")
    yield "Means over seeds at the first step, a quarter, half, and the end of each training."
    yield ""
    yield from _table(
        ["setting", *(_label(findings, metric) for metric in metrics)],
        ([each.label, *(_course(each, metric) for metric in metrics)] for each in drawn),
    )


def _course(setting: SettingCurves, metric: str) -> str:
    curve = next((curve for curve in setting.curves if curve.metric == metric), None)
    if curve is None:
        return NOTHING
    last = len(curve.mean) - 1
    return " → ".join(shown(curve.mean[round(point * last)]) for point in _POINTS)


def _doses(findings: Findings) -> Iterator[str]:
    if findings.doses:
        yield from ("## Dose–response", "")
    for response in findings.doses:
        yield from _dose_table(findings, response)


def _dose_table(findings: Findings, response: DoseResponse) -> Iterator[str]:
    metric = _label(findings, findings.comparison.metric)
    yield from _table(
        [response.name, metric, findings.comparison.condemned_as],
        (
            [
                dose.label,
                _with(shown(dose.metric.value), interval(dose.metric)),
                _with(counted(dose.condemned), chance(dose.condemned)),
            ]
            for dose in response.doses
        ),
    )
    if response.pooled:
        yield from (_pooled(response.pooled).strip(), "")


def _trials(findings: Findings) -> Iterator[str]:
    metric = findings.comparison.metric
    yield from ("## Trials", "")
    yield from _table(
        ["trial", "settings", "seed", "outcome", "onset", _label(findings, metric), "steps", "why"],
        (_trial(trial, metric) for trial in findings.trials),
    )


def _trial(trial: TrialFinding, metric: str) -> list[str]:
    record = trial.record
    return [
        record.trial.name,
        _with(trial.label, described(record.changes)),
        str(record.trial.seed),
        _with(outcome(record), record.stopped_by and f"stopped by {record.stopped_by}"),
        shown(trial.onset_step, 0),
        shown(record.metrics.get(metric)),
        shown(record.step, 0),
        _inline(record.verdict.evidence if record.verdict else record.reason),
    ]


def _selection(findings: Findings) -> Iterator[str]:
    found = findings.selection
    if found is None or not found.selectors:
        return
    target = _label(findings, found.target)
    yield from ("## Chosen without labels", "")
    yield f"By {target}, {found.best} is best ({shown(found.best_value)}). Of each metric without"
    yield f"labels: its rank correlation with {target}, what it would have chosen, what that loses."
    yield ""
    headers = ["metric"]
    for which in ("all trials", "healthy trials"):
        headers += [f"correlation, {which}", f"choice of {which}", "loses"]
    yield from _table(
        headers,
        (
            [
                f"{_label(findings, each.metric)} ({each.mode})",
                *_choice(each.everything),
                *_choice(each.healthy),
            ]
            for each in found.selectors
        ),
    )


def _choice(choice: Choice) -> list[str]:
    p = p_value(choice.correlation.p)
    return [
        _with(signed(choice.correlation.value, 2), "" if p == NOTHING else f"p {p}"),
        _with(choice.trial or NOTHING, "" if choice.value is None else shown(choice.value)),
        shown(choice.regret),
    ]


def _cost(findings: Findings) -> Iterator[str]:
    cost = findings.cost
    yield from ("## Cost", "")
    yield f"- {shown(cost.steps, 0)} steps of {shown(cost.total_steps, 0)} planned"
    saved = f", about {shown(cost.saved_hours)} hours" if cost.saved_hours else ""
    if cost.saved_steps and cost.saved_share is not None:
        yield f"- stopping early saved {cost.saved_share:.0%} of the steps{saved}"
    for stopper, count in cost.stopped.items():
        yield f"- {stopper} stopped {count} of {len(cost.trials)} trials"
    yield f"- {shown(cost.hours)} hours of trials, {shown(cost.images, 0)} images"
    if cost.images_per_s:
        yield f"- {shown(cost.images_per_s)} images/s of a trial, starts and evaluations included"
    yield ""


def _reproduction(findings: Findings) -> Iterator[str]:
    found = findings.reproduction
    seeds = ", ".join(map(str, found.seeds))
    yield from ("## Again", "", "```", found.command, "```", "")
    fingerprint = f", fingerprint `{found.fingerprint}`" if found.fingerprint else ""
    yield from (f"Dataset `{found.dataset}`{fingerprint}; seeds {seeds or NOTHING}.", "")
    if found.versions:
        yield ", ".join(f"{name} {version}" for name, version in found.versions.items()) + "."
        yield ""
    for name, text in (("The space", found.space_yaml), ("The recipe", found.recipe_yaml)):
        yield from (f"<details><summary>{name}</summary>", "", "```yaml", text.rstrip(), "```")
        yield from ("", "</details>", "")


def _table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for line in (headers, ["---"] * len(headers), *rows):
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |"
    yield ""


def _inline(text: str) -> str:
    """Somebody else's text, which must neither end a line nor begin a tag."""
    return " ".join(text.split()).replace("<", "&lt;")


def _with(text: str, aside: str | None) -> str:
    return f"{text} ({aside})" if aside and text != NOTHING else text


def _counts(verdicts: dict[str, int]) -> str:
    if len(verdicts) == 1:
        return next(iter(verdicts))
    return ", ".join(f"{count} × {outcome}" for outcome, count in verdicts.items())


def _pooled(names: Sequence[str]) -> str:
    return f" Pooled over {', '.join(names)}." if names else ""


def _label(findings: Findings, metric: str) -> str:
    return findings.labels.get(metric, metric)
