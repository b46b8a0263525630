"""Writes the report as one HTML file that needs no other file.

In: findings. Out: a page that contains its style, its scripts and the Plotly library. The page's
content security policy forbids requests to any host. Next: a browser, or MLflow's artifact page.
"""

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from poise.reports.page.templates import asset, environment
from poise.reports.study.sections import SECTIONS
from poise.reports.study.sentences import advised, registration
from poise.reports.study.terms import MORE_IN, terms
from poise.studies.findings.findings import Findings


def render_page(findings: Findings) -> str:
    """Returns the whole page as HTML.

    The template escapes every text. The figures escape their texts too, because Plotly interprets
    some HTML in labels. So names in a study may contain any characters.
    """
    made = (section(findings) for section in SECTIONS)
    return (
        environment()
        .get_template("page.html")
        .render(
            findings=findings,
            advised=advised,
            registration=registration,
            terms=terms(findings),
            more_in=MORE_IN,
            unfinished=findings.comparison.standing.sentence,
            sections=[section for section in made if section is not None],
            style=asset("page.css"),
            scripts=[
                Markup(get_plotlyjs()),
                *(asset(f"{name}.js") for name in ("charts", "trials", "printing")),
            ],
        )
    )
