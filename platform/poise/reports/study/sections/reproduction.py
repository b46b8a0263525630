"""The section on how to reproduce the study.

In: what the study was begun with. Out: a section with a template of its own. Next: the page.
"""

from poise.reports.page.pieces import Section
from poise.studies.findings.findings import Findings


def reproduction(findings: Findings) -> Section:
    """The section."""
    return Section(
        "reproduce",
        "How to reproduce",
        template="reproduction.html",
        content={"reproduction": findings.reproduction},
    )
