"""Writes ``docs/metrics.md``: each metric with its formula, and healthy and broken runs.

    python -m pipelines.metric_pictures

In: the labelled runs of ``tests/corpus``, the tables of ``docs/diagnostics.md`` and the formulas of
``pipelines/metric_formulas.py``. Out: the page, and a picture of each metric in ``docs/metrics``.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from io import BytesIO
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pipelines.metric_formulas import formula_of
from poise.config.metrics import METRICS, VIEWS
from tests.corpus.causes import RUNS
from tests.corpus.examples import Example, find_examples, known_runs

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE, PICTURES, TABLES = DOCS / "metrics.md", DOCS / "metrics", DOCS / "diagnostics.md"
CATALOGUE = METRICS | set(VIEWS)

SHOWN_FOR = {
    "features/spectrum_NNN": "features/spectrum_016",
    "eval/attention/cls_pos_entropy_over_ln_n_NN": "eval/attention/cls_pos_entropy_over_ln_n_03",
    "eval/attention/cls_cls_attention_NN": "eval/attention/cls_cls_attention_03",
}
"""Families of metrics, and the member that is drawn."""

_SPEED = "A speed depends on the machine, not on the health of a run."
_START = "No labelled run starts from a trained model."
WITHOUT_PICTURE = {
    "throughput/images_per_s": _SPEED,
    "throughput/s_per_step": _SPEED,
    "throughput/data_wait_share": _SPEED,
    "throughput/train_images_per_s": _SPEED,
    "throughput/read_images_per_s": _SPEED,
    "throughput/cut_images_per_s": _SPEED,
    "throughput/read_wait_share": _SPEED,
    "throughput/workers": _SPEED,
    "throughput/backbone_gflops": "The value is constant for each backbone.",
    "tokens/register_norm": "Only one labelled run has registers, and it is healthy.",
    "eval/knn_forgotten": _START,
    "eval/knn_learned": _START,
    "eval/knn_queries": _START,
}
"""Metrics that the labelled runs do not hold, and why."""

_INTRODUCTION = """# Each metric, in a formula and a picture

`python -m pipelines.metric_pictures` writes this page. [Metrics and verdicts](diagnostics.md)
explains the letters in the formulas, and how several metrics lead to a verdict.

The pictures show real runs. They are some of the {runs} labelled runs that test the verdicts
([decision 0007](decisions/0007-verdict.md)). Blue lines are healthy runs. Dashed orange lines are
broken runs with one verdict. Of all verdicts, the metric separates this one best from healthy
runs. Both kinds of runs have the same images and the same backbone.

The line below a picture compares pairs of a healthy run and a broken run with the same images and
the same backbone. It says in how many pairs the last quarter of the metric is higher (or lower) for
the broken run. A metric without any information would reach 50 %. Such a metric can still be
useful, because a verdict uses several metrics together."""

_HEALTHY, _BROKEN = "#0072B2", "#D55E00"  # Okabe and Ito: distinct without red or green vision
_IMAGES = {
    "cifar10": "CIFAR-10",
    "photographs": "photographs",
    "scenes": "scenes",
    "few scenes": "1,024 scenes",
}
_BACKBONES = {"vit": "a ViT", "resnet": "a residual network"}
_CHANCE, _LITTLE = 50, 80  # % of pairs
_LOG_FROM = 100  # largest over smallest value at the end
_COLORS = 64


@dataclass(frozen=True)
class Row:
    """One row of the tables of ``docs/diagnostics.md``."""

    section: str
    metrics: tuple[str, ...]
    what: str
    healthy: str
    broken: str
    source: str


def read_rows() -> Iterator[Row]:
    """Yields the rows that are about metrics of the catalogue, or about families of metrics."""
    section, above = "", [""] * 4
    for line in TABLES.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]
        metrics = tuple(re.findall(r"`([^`]+)`", cells[0]))
        if not line.startswith("| `") or metrics[0] not in CATALOGUE | set(SHOWN_FOR):
            continue
        above = [
            before if cell in ("as above", "the same") else cell
            for cell, before in zip((cells[1:] + [""] * 4)[:4], above, strict=True)
        ]
        named = tuple(name for name in metrics if name in CATALOGUE | set(SHOWN_FOR))
        yield Row(section, named, *above)


def examples_by_metric() -> dict[str, Example]:
    """Metric → the runs that its picture shows."""
    wanted = sorted(CATALOGUE | set(SHOWN_FOR.values()))
    return {each.metric: each for each in find_examples(wanted, known_runs())}


def page(rows: Sequence[Row], examples: Mapping[str, Example]) -> str:
    """Returns the page."""
    lines, section = [_INTRODUCTION.format(runs=len(RUNS))], ""
    for row in rows:
        if row.section != section:
            section = row.section
            lines += ["", f"## {section}"]
        lines += ["", f"### {', '.join(row.metrics)}", "", f"{_sentence(row.what)}", ""]
        lines += [f"- Healthy: {row.healthy}"] if row.healthy else []
        lines += [f"- Broken: {row.broken}"] if row.broken else []
        lines += [f"- Source: {row.source}"] if row.source else []
        for metric in row.metrics:
            lines += ["", *_one(metric, examples.get(SHOWN_FOR.get(metric, metric)))]
    return "\n".join(lines) + "\n"


def _one(metric: str, example: Example | None) -> Iterator[str]:
    yield from ("```", f"{metric} = {formula_of(metric)}", "```", "")
    if example is None:
        yield f"No picture: {WITHOUT_PICTURE[metric]}"
        return
    alternative = f"{example.metric} of healthy runs and of runs with the verdict {example.verdict}"
    yield f"![{alternative}](metrics/{file_name(example.metric)})"
    yield ""
    yield caption(example)


def caption(example: Example) -> str:
    """Describes the runs of a picture, and how well the metric tells them apart."""
    _, images, backbone = example.setup
    shown = f"`{example.metric}` of {_BACKBONES[backbone]} on {_IMAGES[images]}."
    direction = "higher" if example.higher_share > 0.5 else "lower"
    percent = round(100 * example.told_share)
    if percent <= _CHANCE:
        return (
            f"{shown} The metric does not separate the {example.num_pairs} pairs, because both "
            "runs end with the same values."
        )
    told = (
        f"In {percent} % of {example.num_pairs} pairs, the run with the verdict "
        f"*{example.verdict}* ends {direction}."
    )
    return f"{shown} {told}{' This metric alone shows little.' if percent < _LITTLE else ''}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def file_name(metric: str) -> str:
    """Returns the name of a metric's picture."""
    return f"{metric.replace('/', '-')}.png"


def digest(example: Example) -> str:
    """Returns the SHA-256 of what a picture shows. The picture keeps it."""
    return hashlib.sha256(json.dumps(astuple(example)).encode()).hexdigest()


def draw(example: Example) -> bytes:
    """Draws the runs of an example as a small PNG file."""
    figure = Figure(figsize=(7.2, 2.2))
    axis = figure.add_axes((0.08, 0.2, 0.6, 0.66))  # the same place in every picture
    for curves, color, dash, label in (
        (example.healthy, _HEALTHY, "-", "healthy"),
        (example.broken, _BROKEN, (0, (4, 1.5)), example.verdict),
    ):
        for number, curve in enumerate(curves):
            shares, values = zip(*curve, strict=True)
            axis.plot(
                [100 * share for share in shares],
                values,
                color=color,
                linestyle=dash,
                linewidth=1.3,
                alpha=0.75,
                marker="o" if len(curve) < 5 else "",
                markersize=4,
                label=_counted(label, len(curves)) if number == 0 else None,
            )
    _style(axis, example)
    return _small_png(figure, digest(example))


def _counted(label: str, count: int) -> str:
    kind, _, which = label.partition(": ")
    lines = [f"{kind}:" if which else kind, which, f"({count} run{'s' * (count > 1)})"]
    return "\n".join(line for line in lines if line)


def _style(axis: Axes, example: Example) -> None:
    curves = (*example.healthy, *example.broken)
    ends = [curve[-1][1] for curve in curves]
    is_positive = min(value for curve in curves for _, value in curve) > 0
    if is_positive and max(ends) > _LOG_FROM * min(ends):
        axis.set_yscale("log")
    axis.set_xlim(0, 100)
    axis.set_xlabel("% of the run", fontsize=9)
    axis.set_title(example.metric, fontsize=9, loc="left")
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=9, frameon=False)


def _small_png(figure: Figure, described: str) -> bytes:
    """Writes a figure with few colours: a line chart needs no more."""
    whole, small = BytesIO(), BytesIO()
    figure.savefig(whole, dpi=110, format="png")
    facts = PngInfo()
    facts.add_text("Data", described)
    picture = Image.open(whole).convert("RGB")
    picture = picture.quantize(_COLORS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    picture.save(small, format="png", optimize=True, pnginfo=facts)
    return small.getvalue()


def main() -> None:
    """Writes the page and the pictures; removes pictures of metrics that are gone."""
    examples = examples_by_metric()
    PICTURES.mkdir(exist_ok=True)
    for path in PICTURES.glob("*.png"):
        if path.name not in map(file_name, examples):
            path.unlink()
    for example in examples.values():
        (PICTURES / file_name(example.metric)).write_bytes(draw(example))
    PAGE.write_text(page(list(read_rows()), examples), encoding="utf-8")


if __name__ == "__main__":
    main()
