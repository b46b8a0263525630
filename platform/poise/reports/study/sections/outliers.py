"""Makes the section about outlier patches: when they appear, and in how many trials.

In: the findings of a study. Out: a section with a table. Next: the page.
"""

from poise.reports.page.page_elements import Cell, Section, table
from poise.reports.study.sentences import OUTLIERS_ARE
from poise.studies.findings.findings import Findings
from poise.studies.number_format import certainty, chance, out_of, shown


def outliers(findings: Findings) -> Section | None:
    """Makes the section about outlier patches.

    Returns None if the findings contain nothing about outlier patches.
    """
    found = findings.outliers
    if found is None:
        return None
    labels = {each.setting: each.label for each in findings.settings}
    rows: list[list[str | Cell]] = [
        [
            labels[each.setting],
            Cell(out_of(each.appeared), chance(each.appeared)),
            shown(each.onset_step, 0),
            Cell(shown(each.latest.value, 4), certainty(each.latest, each.latest.n, 4)),
        ]
        for each in found.settings
    ]
    headers = [
        "setting",
        "trials with outliers",
        "median of the first step",
        "share of outlier patches at the end",
    ]
    return Section(
        "outliers",
        "Outlier patches",
        (OUTLIERS_ARE,),
        table("When patches become outliers, for each setting", headers, rows, numbers=[2, 3]),
    )
