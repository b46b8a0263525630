"""Section on outlier patches: in how many seeds they appear, and when.

In: the onset of outliers. Out: a table. Next: the page.
"""

from poise.reports.page.pieces import Cell, Section, table
from poise.reports.study.sentences import OUTLIERS_ARE
from poise.studies.findings.findings import Findings
from poise.studies.number_format import certainty, chance, counted, shown


def outliers(findings: Findings) -> Section | None:
    """Makes the section; None if no trial has outliers and the study does not ask for them."""
    found = findings.outliers
    if found is None:
        return None
    labels = {each.setting: each.label for each in findings.settings}
    rows: list[list[str | Cell]] = [
        [
            labels[each.setting],
            Cell(counted(each.appeared), chance(each.appeared)),
            shown(each.onset_step, 0),
            Cell(shown(each.latest.value, 4), certainty(each.latest, each.latest.n, 4)),
        ]
        for each in found.settings
    ]
    headers = ["setting", "trials with outliers", "first step, median", "share at the end"]
    return Section(
        "outliers",
        "Outlier patches",
        (OUTLIERS_ARE,),
        table("When patches become outliers", headers, rows, numbers=[2, 3]),
    )
