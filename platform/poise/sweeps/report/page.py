"""The report as one HTML file that needs nothing else.

In: findings. Out: a page with its style, its script and Plotly's library inside; its own policy
forbids it to ask any host for anything. Next: a person's browser, or MLflow's page of artifacts.
"""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from poise.sweeps.findings import Findings
from poise.sweeps.report.sections import SECTIONS
from poise.sweeps.report.sentences import advised

ASSETS = Path(__file__).parent / "assets"


def render_page(findings: Findings) -> str:
    """The whole page.

    Every text is escaped where the template puts it down, and again where a figure would read it
    as HTML; a study's names may hold anything.
    """
    made = (section(findings) for section in SECTIONS)
    return (
        _environment()
        .get_template("page.html")
        .render(
            findings=findings,
            advised=advised,
            unfinished=findings.comparison.standing.sentence,
            sections=[section for section in made if section is not None],
            style=_asset("page.css"),
            scripts=[
                Markup(get_plotlyjs()),
                *(_asset(f"{name}.js") for name in ("charts", "trials", "printing")),
            ],
        )
    )


def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )


def _asset(name: str) -> Markup:
    return Markup((ASSETS / name).read_text(encoding="utf-8"))
