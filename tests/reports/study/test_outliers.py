"""Outlier patches in the page, in Markdown and in CSV."""

import csv
import io

from poise.diagnostics.history import History
from poise.reports.study.csv_table import render_csv
from poise.reports.study.markdown import render_markdown
from poise.reports.study.page import render_page
from poise.studies.analysis.outlier_onset import METRIC
from poise.studies.findings.findings import find
from tests.studies.samples import grid_records, grid_study


def test_a_study_says_in_how_many_seeds_outliers_appear_and_when() -> None:
    records = grid_records()
    histories: dict[str, History] = {
        record.trial.name: [
            (10, {METRIC: 0.0}), (50, {METRIC: 0.02 if record.trial.setting == 1 else 0.0})
        ]
        for record in records
    }  # fmt: skip
    findings = find(grid_study(), records, histories)
    page, markdown = render_page(findings), render_markdown(findings)
    assert "Outlier patches" in page and "When patches become outliers" in page
    start = markdown.index("## Outlier patches")
    lines = [line for line in markdown[start:].splitlines() if line.startswith("|")][2:6]
    assert "3 of 3" in lines[1] and "50" in lines[1]
    assert all("0 of 3" in line for line in (lines[0], lines[2], lines[3]))
    rows = list(csv.DictReader(io.StringIO(render_csv(findings))))
    steps = [row["outlier_onset_step"] for row in rows]
    assert steps == ["50" if row["trial"].startswith("t02") else "" for row in rows]


def test_a_study_without_outliers_does_not_mention_them() -> None:
    findings = find(grid_study(), grid_records(), {})
    assert findings.outliers is None
    assert "Outlier patches" not in render_page(findings) + render_markdown(findings)
    assert "outlier_onset_step" not in render_csv(findings)
