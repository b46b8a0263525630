"""How to do it again.

In: what a study was begun with. Out: a section of its own form. Next: the page.
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
