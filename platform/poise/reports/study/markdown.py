"""Writes the report as Markdown, for pull requests, terminals and diffs.

In: findings. Out: Markdown, in the same order as the page. Next: ``report.md``.
"""

from collections.abc import Iterator

from poise.config.wording import metric_phrase
from poise.reports.page.markup import beside, fenced, inline, table
from poise.reports.study.choice_sentences import (
    CORRELATION_IS,
    GUIDE,
    choosing,
    lost_means,
    lost_words,
    target_decimals,
)
from poise.reports.study.cost_sentences import saved, spent
from poise.reports.study.markdown_settings import comparison, doses, outliers, phase, training
from poise.reports.study.sentences import label, registration
from poise.reports.study.terms import MORE_IN, terms
from poise.studies.analysis.label_free_choice import Choice
from poise.studies.findings.findings import Findings, TrialFinding
from poise.studies.labels import described
from poise.studies.number_format import NOTHING, shown, signed


def render_markdown(findings: Findings) -> str:
    """Returns the whole report as Markdown."""
    sections = (
        _opening(findings),
        comparison(findings),
        phase(findings),
        training(findings),
        doses(findings),
        outliers(findings),
        _trials(findings),
        _selection(findings),
        _cost(findings),
        _reproduction(findings),
    )
    return "\n".join(line for section in sections for line in section).rstrip() + "\n"


def _opening(findings: Findings) -> Iterator[str]:
    yield from (f"# {findings.study}", "")
    if findings.comparison.standing.sentence:
        yield from (f"**Not finished.** {inline(findings.comparison.standing.sentence)}", "")
    if findings.question:
        yield from (f"**Question.** {inline(findings.question)}", "")
    first, *others = map(inline, findings.answer)
    yield from (f"**Answer.** {first}", "")
    for paragraph in others:
        yield from (paragraph, "")
    if findings.published:
        yield from (f"**Published result.** {inline(findings.published)}", "")
    if findings.registered:
        text = f"{registration(findings)} `{findings.registered}`."
        yield from (f"**Registered backbone.** {text}", "")
    if explained := terms(findings):
        yield from ("**Terms.**", "", *(f"- {inline(term)}" for term in explained))
        yield from (f"- `{MORE_IN}` explains all metrics and verdicts.", "")


def _trials(findings: Findings) -> Iterator[str]:
    found = findings.comparison
    yield from ("## Every trial", "")
    yield from table(
        [
            *("trial", "setting", "seed", "verdict", "failed since step"),
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
    yield from ("## Choosing without labels", "", inline(choosing(findings, found)), "")
    headers = ["metric"]
    for which in ("all trials", "healthy trials"):
        headers += [f"correlation ({which})", f"chosen trial ({which})", lost_words(found.target)]
    yield from table(
        headers,
        (
            [
                f"{'largest' if each.mode == 'max' else 'smallest'} {label(findings, each.metric)}",
                *_choice(each.everything, decimals),
                *_choice(each.healthy, decimals),
            ]
            for each in found.selectors
        ),
    )
    compared = f"Spearman's rank correlation between the metric and {metric_phrase(found.target)}"
    yield from (
        inline(f"“Correlation” is {compared}. {CORRELATION_IS} {lost_means(found.target)} {GUIDE}"),
        "",
    )


def _choice(choice: Choice, decimals: int) -> list[str]:
    return [
        beside(signed(choice.correlation.value, 2), f"n = {choice.correlation.n}"),
        beside(choice.trial or NOTHING, shown(choice.value, decimals)),
        shown(choice.regret, decimals),
    ]


def _cost(findings: Findings) -> Iterator[str]:
    cost = findings.cost
    yield from ("## Cost", "", f"- {spent(cost)}", f"- {saved(cost)}", "")


def _reproduction(findings: Findings) -> Iterator[str]:
    found = findings.reproduction
    seeds = ", ".join(map(str, found.seeds))
    yield from ("## How to reproduce", "", *fenced(found.command), "")
    for used in found.datasets:
        fingerprint = f", fingerprint `{used.fingerprint}`" if used.fingerprint else ""
        yield f"- {used.role}: {inline(f'`{used.folder}`')}{fingerprint}"
    yield f"- seeds: {seeds or NOTHING}"
    if found.commit:
        changes = "with" if found.has_changes else "with no"
        yield f"- commit: `{found.commit}`, {changes} uncommitted changes"
    yield ""
    if found.versions:
        versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
        yield f"The study ran with {versions}."
        yield ""
    for name, text in (("The space", found.space_yaml), ("The recipe", found.recipe_yaml)):
        yield from (f"<details><summary>{name}</summary>", "", *fenced(text, "yaml"))
        yield from ("", "</details>", "")
