"""Writes an embedding map as one HTML file that contains its images.

In: an ``EmbeddingMap``. Out: a page with an interactive map and the tree of classes. Next:
``poise evaluate map``, which writes the page beside the report.
"""

import base64
from typing import Any

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from poise.evaluation.embedding_map.content import EmbeddingMap
from poise.reports.embedding_map.tree import tree_section
from poise.reports.page.figure_layout import rounded
from poise.reports.page.outcome_styles import stroke
from poise.reports.page.page_elements import embedded, literal
from poise.reports.page.templates import asset, environment

_UNKNOWN = "no label"


def render_map(content: EmbeddingMap) -> str:
    """Returns the whole page as HTML.

    The template escapes every text, and its content security policy forbids requests.
    """
    return (
        environment()
        .get_template("map.html")
        .render(
            content=content,
            data=embedded(_data(content)),
            sections=[tree_section(content.tree)] if content.tree else [],
            style=Markup("\n").join(asset(f"{name}.css") for name in ("page", "map")),
            scripts=[
                Markup(get_plotlyjs()),
                *(asset(f"{name}.js") for name in ("charts", "map", "printing")),
            ],
        )
    )


def _data(content: EmbeddingMap) -> dict[str, Any]:
    """Returns the values that the script of the page reads."""
    sheets = [base64.b64encode(sheet).decode() for sheet in content.sprites.sheets]
    return {
        "ids": content.sample_ids.tolist(),
        "labels": content.labels.tolist(),
        "classes": _classes(content),
        "projections": [
            {
                "name": each.name,
                "x": [rounded(value) for value in each.points[:, 0].tolist()],
                "y": [rounded(value) for value in each.points[:, 1].tolist()],
                "caption": each.caption,
                "trust": f"{each.trustworthiness:.2f}",
            }
            for each in content.projections
        ],
        "nearest": content.nearest.tolist(),
        "cosines": [[round(value, 3) for value in row] for row in content.similarities.tolist()],
        "sheets": [f"data:image/jpeg;base64,{sheet}" for sheet in sheets],
        "tile": content.sprites.tile_px,
        "across": content.sprites.tiles_across,
    }


def _classes(content: EmbeddingMap) -> list[dict[str, Any]]:
    """Returns the name, colour and symbol of each class that has an image.

    ``-1`` means no label.
    """
    looks = []
    for index, label in enumerate(sorted(set(content.labels.tolist()))):
        look = stroke(index)
        name = content.classes[label] if label >= 0 else _UNKNOWN
        looks.append(
            {
                "label": label,
                "name": name,
                "literal": literal(name),
                "color": look.color if label >= 0 else "#888888",
                "symbol": look.symbol,
            }
        )
    return looks
