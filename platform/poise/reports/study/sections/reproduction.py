"""Makes the section that explains how to repeat the study.

In: the command and settings of the study. Out: a section with its own template. Next: the page.
"""

from poise.reports.page.page_elements import Section
from poise.studies.findings.findings import Findings


def reproduction(findings: Findings) -> Section:
    """Makes the section with the command, datasets, seeds, versions and settings of the study."""
    return Section(
        "reproduce",
        "How to reproduce",
        template="reproduction.html",
        content={"reproduction": findings.reproduction},
    )
