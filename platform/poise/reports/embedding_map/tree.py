"""Makes the page's section about the tree of classes.

In: a ``ClassTree``. Out: a ``Section`` with a dendrogram and a table. Next:
``poise.reports.embedding_map.page``.
"""

from plotly.graph_objects import Figure, Scatter
from scipy.cluster.hierarchy import dendrogram

from poise.evaluation.embedding_map.content import ClassTree
from poise.evaluation.embedding_map.tree_sentences import tree_sentences
from poise.reports.page.figure_layout import frame
from poise.reports.page.outcome_styles import stroke
from poise.reports.page.page_elements import Cell, Chart, Section, Table, literal, table
from poise.studies.number_format import shown

_LEAF_PX = 22
_LEAF_STEP = 10  # scipy's distance between leaves: they lie at 5, 15, 25, …


def tree_section(tree: ClassTree) -> Section:
    """Makes the section about the tree of classes: summary, dendrogram, nearest classes."""
    chart = Chart(
        "tree",
        _figure(tree),
        next(iter(tree_sentences(tree))),
        "Classes that join further left are more similar. The height of a join is the mean cosine "
        "distance between the images' means of the classes on both sides.",
        _table(tree),
    )
    return Section(
        "classes",
        "Do similar classes lie near each other?",
        tuple(tree_sentences(tree)),
        charts=(chart,),
    )


def _figure(tree: ClassTree) -> Figure:
    found = dendrogram(tree.links, labels=list(tree.names), no_plot=True)
    figure = frame(80 + _LEAF_PX * len(tree.names))
    for places, heights in zip(found["icoord"], found["dcoord"], strict=True):
        figure.add_trace(
            Scatter(
                x=heights,
                y=places,
                mode="lines",
                line={"color": stroke(0).color, "width": 1.6},
                hovertemplate="distance %{x:.3f}<extra></extra>",
            )
        )
    figure.update_yaxes(
        showgrid=False,
        tickmode="array",
        tickvals=[_LEAF_STEP * (number + 0.5) for number in range(len(tree.names))],
        ticktext=[literal(name) for name in found["ivl"]],
        range=[0, _LEAF_STEP * len(tree.names)],
    )
    figure.update_xaxes(title_text="cosine distance of class means", rangemode="tozero")
    return figure


def _table(tree: ClassTree) -> Table:
    rows: list[list[str | Cell]] = []
    for row, name in enumerate(tree.names):
        others = tree.nearest(row)
        cells = [
            Cell(tree.names[other], shown(float(tree.distances[row, other])))
            for other in (others[0], others[1], others[-1])
        ]
        rows.append([name, shown(float(tree.counts[row]), 0), *cells])
    return table(
        "Nearest and farthest classes, with the cosine distance in small print",
        ["class", "images", "nearest", "second nearest", "farthest"],
        rows,
        numbers=[1],
    )
