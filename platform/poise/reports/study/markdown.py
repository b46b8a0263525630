"""The page's twin for those who read plain text: a pull request, a terminal, a diff.

In: findings. Out: Markdown in the page's order. Next: ``report.md``.
"""

from collections.abc import Iterator

from poise.reports.page.markup import beside, fenced, inline, table
from poise.reports.study.markdown_settings import comparison, doses, phase, training
from poise.reports.study.sentences import GUIDE, choosing, label, target_decimals
from poise.studies.analysis.label_free_choice import Choice
from poise.studies.findings.findings import Findings, TrialFinding
from poise.studies.labels import described
from poise.studies.number_format import NOTHING, percent, shown, signed


def render_markdown(findings: Findings) -> str:
    """The whole report."""
    sections = (
        _opening(findings),
        comparison(findings),
        phase(findings),
        training(findings),
        doses(findings),
        _trials(findings),
        _selection(findings),
        _cost(findings),
        _reproduction(findings),
    )
    return "\n".join(line for section in sections for line in section).rstrip() + "\n"


def _opening(findings: Findings) -> Iterator[str]:
    yield from (f"# {findings.study}", "")
    if findings.comparison.standing.sentence:
        yield from (f"**Not over.** {inline(findings.comparison.standing.sentence)}", "")
    if findings.question:
        yield from (f"**Asked.** {inline(findings.question)}", "")
    yield from (f"**Answer.** {inline(' '.join(findings.answer))}", "")
    if findings.published:
        yield from (f"**Published.** {inline(findings.published)}", "")
    if findings.registered:
        yield from (f"**Registered.** Trial {findings.best} as `{findings.registered}`.", "")


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
        beside(trial.label, described(record.changes)),
        str(record.trial.seed),
        beside(record.outcome, record.stopped_by and f"stopped by {record.stopped_by}"),
        shown(trial.onset_step, 0),
        shown(trial.metrics.get(metric), decimals),
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
        beside(signed(choice.correlation.value, 2), f"n = {choice.correlation.n}"),
        beside(choice.trial or NOTHING, shown(choice.value, decimals)),
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
    for used in found.datasets:
        fingerprint = f", fingerprint `{used.fingerprint}`" if used.fingerprint else ""
        yield f"- {used.role} {inline(f'`{used.folder}`')}{fingerprint}"
    yield f"- seeds {seeds or NOTHING}"
    if found.commit:
        changes = "with" if found.has_changes else "without"
        yield f"- commit `{found.commit}`, {changes} changes to its files"
    yield ""
    if found.versions:
        yield ", ".join(f"{name} {version}" for name, version in found.versions.items()) + "."
        yield ""
    for name, text in (("The space", found.space_yaml), ("The recipe", found.recipe_yaml)):
        yield from (f"<details><summary>{name}</summary>", "", *fenced(text, "yaml"))
        yield from ("", "</details>", "")
