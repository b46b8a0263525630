"""The page as a text: what is on it, and what is never on it."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from plotly.offline import get_plotlyjs

from poise.diagnostics.history import History
from poise.diagnostics.judge import VerdictKind
from poise.reports.study.page import render_page
from poise.reports.study.terms import terms
from poise.studies.analysis.curves import COURSE
from poise.studies.findings.findings import Findings, Winner, find
from poise.studies.number_format import shown, signed
from poise.studies.records import TrialRecord
from poise.studies.study import Study
from tests.builders import tiny_masked_recipe
from tests.studies.invented import (
    CENTERING,
    TEMPERATURE,
    invented_space,
    invented_study,
    invented_trials,
)

BASELINE = {CENTERING: 0.9, TEMPERATURE: 0.04}
NASTY = '</script><script>fail()</script><img src=x onerror=fail()> & "é" %{x} <a href="http://h">'


class Page(HTMLParser):
    """What a browser would make of it: elements with attributes, and the text of each table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, Mapping[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {"script": [], "style": []}
        self.words: list[str] = []
        self._within = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._within = tag

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within in self.texts:
            self.texts[self._within].append(data)
        elif data.strip():
            self.words.append(data.strip())

    def all(self, tag: str) -> list[Mapping[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def found(study: Study | None = None, points: int = 20) -> Findings:
    study = study or invented_study(invented_space(baseline=BASELINE))
    records, histories = invented_trials(study.space, points)
    return find(study, records, histories, Winner(records[0].trial.name, "models:/tiny/1"))


@pytest.fixture(scope="module")
def findings() -> Findings:
    return found()


@pytest.fixture(scope="module")
def text(findings: Findings) -> str:
    return render_page(findings)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


@pytest.mark.slow
def test_the_page_names_no_host_outside_of_plotlys_own_code(text: str) -> None:
    own = text.replace(get_plotlyjs(), "")
    assert len(own) < len(text) - 1_000_000
    assert re.findall(r"\w+://\S{1,40}", own) == ["models:/tiny/1"][:0]
    assert "default-src 'none'" in own


def test_nothing_is_loaded_from_elsewhere(page: Page) -> None:
    loading = [
        (tag, name, attributes[name])
        for tag, attributes in page.elements
        for name in ("src", "href", "srcset", "data", "action", "poster")
        if name in attributes
    ]
    assert all(str(value).startswith(("#", "data:,")) for _, _, value in loading), loading


def test_the_page_tells_in_order_what_was_asked_answered_and_measured(
    text: str, findings: Findings
) -> None:
    titles = re.findall(r'<h2 id="[\w-]+">(.*?)</h2>', text)
    assert titles == [
        "Settings compared",
        "Where training collapses",
        "Entropy and divergence over time",
        "Effect of each hyperparameter",
        "Every trial",
        "Choosing without labels",
        "What it cost",
        "How to reproduce",
    ]
    assert text.index(findings.answer[0][:20]) < text.index(titles[0])


def test_every_chart_says_what_it_shows_and_has_a_table_behind_it(page: Page) -> None:
    charts = [each for each in page.all("div") if each.get("class") == "chart"]
    assert len(charts) == 6  # phase, over time, two doses, selection, cost
    assert all(each["role"] == "img" and each["aria-label"] for each in charts)
    tables, captions = page.all("table"), page.all("caption")
    assert len(tables) == len(captions) == len(charts) + 2  # settings, all trials
    assert {each.get("scope") for each in page.all("th")} == {"row", "col"}
    regions = [each for each in page.all("div") if each.get("role") == "region"]
    assert all(each["tabindex"] == "0" and each["aria-label"] for each in regions)


def test_the_table_of_settings_holds_what_was_found(page: Page, findings: Findings) -> None:
    for row in findings.comparison.rows:
        assert row.name in page.words and row.label not in page.words
        assert shown(row.mean.value, 1) in page.words
        if row.difference is not None:
            assert signed(row.difference.value, 1) in page.words
        assert f"{row.condemned.count} of {row.condemned.n}" in page.words


def test_each_advice_has_a_line_of_its_own_and_names_its_settings(
    page: Page, findings: Findings
) -> None:
    (advice,) = findings.advice
    assert f"For the settings t02, t03 and t04: {advice.text}" in page.words


def test_the_page_explains_its_terms_once_and_names_the_page_that_explains_more(
    page: Page, findings: Findings
) -> None:
    explained = terms(findings)
    assert any(each.startswith("A uniform teacher gives every image") for each in explained)
    assert all(page.words.count(term) == 1 for term in explained)
    assert page.words[page.words.index(explained[-1]) + 1] == "docs/diagnostics.md"


def test_the_curves_are_those_that_were_found(page: Page, findings: Findings) -> None:
    scripts = page.all("script")
    contents = [text for text in page.texts["script"] if text.strip()]
    names = [each.get("data-trial") for each in scripts]
    assert [name for name in names if name] == [t.record.trial.name for t in findings.trials]
    (stored,) = (
        json.loads(content)
        for content, name in zip(contents, names, strict=True)
        if name == findings.trials[0].record.trial.name
    )
    assert len(stored["curves"]) == len(findings.trials[0].curves)
    metric, steps, values = stored["curves"][0]
    assert stored["steps"][steps] == list(findings.trials[0].curves[metric].steps)
    assert values == pytest.approx(findings.trials[0].curves[metric].values, rel=1e-3)


@pytest.mark.slow
def test_names_may_hold_anything_and_stay_text() -> None:
    study = replace(
        invented_study(invented_space(question=NASTY, published=NASTY), NASTY), source=NASTY
    )
    records, histories = invented_trials(study.space, points=5)
    records[0] = replace(records[0], state="failed", verdict=None, reason=NASTY)
    plain, nasty = (
        Page(render_page(found(points=5))),
        Page(render_page(find(study, records, histories, Winner(NASTY, NASTY)))),
    )
    assert not nasty.all("img")
    assert len(nasty.all("script")) == len(plain.all("script"))
    assert len(nasty.all("a")) == len(plain.all("a"))
    assert NASTY in nasty.words


def failed(record: TrialRecord) -> TrialRecord:
    return replace(record, state="failed", verdict=None, metrics={}, reason="no memory")


def running(record: TrialRecord) -> TrialRecord:
    return replace(record, state="interrupted", verdict=None, metrics={}, step=0, run_id=None)


def condemned(record: TrialRecord) -> TrialRecord:
    assert record.verdict is not None
    return replace(record, verdict=replace(record.verdict, kind=VerdictKind.STUCK, onset_step=3))


@pytest.mark.slow
@pytest.mark.parametrize("change", [failed, running, condemned])
@pytest.mark.parametrize("values", [(1, 1), (2, 1), (2, 2)])
def test_a_study_is_told_however_it_went(change: object, values: tuple[int, int]) -> None:
    study = invented_study(invented_space(values, seeds=2, baseline=BASELINE))
    records, histories = invented_trials(study.space, points=5)
    for some in (slice(0, 1), slice(0, None)):
        changed = [*map(change, records[some]), *records[some.stop or len(records) :]]  # type: ignore[call-overload]
        assert "How to reproduce" in render_page(find(study, changed, histories))
    assert "How to reproduce" in render_page(find(study, [], {}))
    assert "How to reproduce" in render_page(find(study, records[:1], {}))


def test_a_decoders_gain_takes_the_place_of_a_teachers_entropy() -> None:
    space = invented_space(baseline=BASELINE)
    study = replace(invented_study(space), recipe=tiny_masked_recipe())
    records, _ = invented_trials(space, points=5)
    history: History = [
        (step, {"loss/over_mean_patch": 1 - step / 100, "prediction/std_over_target": step / 100})
        for step in range(0, 50, 10)
    ]
    text = render_page(find(study, records, {r.trial.name: history for r in records}))
    assert "Reconstruction over time" in text
    assert "predicting the mean patch" in text and "ln K: uniform" not in text


@pytest.mark.slow
def test_the_table_behind_curves_holds_how_they_went(page: Page) -> None:
    (header,) = (
        place for place, word in enumerate(page.words) if word.startswith("Each row is one point")
    )
    assert [word for word in page.words[header:] if word in COURSE][:8] == [*COURSE, *COURSE]


def test_what_is_not_known_of_a_study_is_not_named(text: str) -> None:
    assert "fingerprint" not in text and "<dt>versions" not in text
