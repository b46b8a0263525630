"""Writes a model card in Markdown, in the format of Hugging Face.

In: facts about a model, and the content of its folder. Out: the text of ``README.md``. Next:
``poise.cli.models.pull``.

A card says "unknown" for each fact that was not stored.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from poise.tracking.registry.card_facts import CardFacts
from poise.tracking.registry.markdown import plain
from poise.tracking.registry.version import RegisteredFigure

UNKNOWN = "unknown"


@dataclass(frozen=True)
class CardContent:
    """Content of a model card."""

    facts: CardFacts
    description: dict[str, Any]
    """Content of the file ``config.json`` that timm reads."""

    num_parameters: int
    difference: float
    """Largest absolute difference between the features of timm and of Poise."""

    is_any_size: bool
    """Whether timm computes the same features as Poise for images of any size."""

    onnx: str | None = None
    """Sentence about the ONNX file, or None without this file."""

    licence: str | None = None
    """Licence of the model, as the user wrote it, or None if it is unknown."""


def render_card(content: CardContent) -> str:
    """Returns the text of a model card."""
    parts = (
        *(_front_matter(content), _opening(content), _use(content), _images(content)),
        *(_figures(content.facts.figures), _pictures(content.facts), _training(content.facts)),
        *(_limits(content), _licence(content)),
    )
    return "\n".join(line for part in parts for line in (*part, "")).rstrip() + "\n"


def _front_matter(content: CardContent) -> Iterator[str]:
    yield "---"
    yield "library_name: timm"
    yield "pipeline_tag: image-feature-extraction"
    licence = content.licence
    yield f"license: {json.dumps(licence, ensure_ascii=False) if licence else UNKNOWN}"
    yield "---"


def _opening(content: CardContent) -> Iterator[str]:
    described, facts = content.description, content.facts
    yield f"# {facts.uri}"
    yield ""
    source = facts.fact("imported_from")
    made = f"imported by Poise from {source}" if source else "trained with Poise"
    yield (
        f"This model is a `{described['architecture']}` with {content.num_parameters / 1e6:.2f} "
        f"million parameters. It was {made}. It computes {described['num_features']} features of "
        "an image. It has no classifier."
    )


def _use(content: CardContent) -> Iterator[str]:
    yield "## Use"
    yield "```python"
    yield "import timm"
    yield "from PIL import Image"
    yield ""
    yield 'model = timm.create_model("local-dir:FOLDER", pretrained=True).eval()'
    yield "prepare = timm.data.create_transform(**timm.data.resolve_data_config(model=model))"
    yield 'features = model(prepare(Image.open("photo.jpg").convert("RGB"))[None])'
    yield "```"
    yield (
        "FOLDER is the folder of this file. The features from timm were compared with the features "
        f"from Poise. The largest difference is {content.difference:.1g}."
    )
    if content.onnx:
        yield ""
        yield content.onnx


def _images(content: CardContent) -> Iterator[str]:
    prepared = content.description["pretrained_cfg"]
    px = prepared["input_size"][-1]
    yield "## Images"
    yield (
        f"The images must be RGB. The shorter side is resized to {round(px * 256 / 224)} pixels "
        f"(bicubic), and the central {px} × {px} pixels are cut out. The pixel values from 0 to 1 "
        f"are normalised with the mean {_numbers(prepared['mean'])} and the standard deviation "
        f"{_numbers(prepared['std'])}."
    )
    if not content.is_any_size:
        yield (
            f"The position embeddings are for {px} × {px} pixels. For images of another size, timm "
            "computes other features than Poise, or refuses the images."
        )


def _figures(figures: Sequence[tuple[str, RegisteredFigure]]) -> Iterator[str]:
    yield "## Figures"
    if not figures:
        yield "No figure is recorded."
        return
    yield "| figure | value | 95 % interval | protocol | dataset |"
    yield "| --- | --- | --- | --- | --- |"
    for name, figure in figures:
        cells = (name, str(figure), figure.interval, figure.protocol, figure.dataset)
        yield f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _pictures(facts: CardFacts) -> Iterator[str]:
    if facts.pictures:
        yield "## Pictures"
        for name in facts.pictures:
            yield f"![{name}](pictures/{name})"


def _training(facts: CardFacts) -> Iterator[str]:
    yield "## Training"
    rows = {
        "dataset": facts.fact("dataset_name") or (facts.tags or {}).get("dataset"),
        "fingerprint of the dataset": facts.fact("dataset_fingerprint"),
        "recipe": facts.fact("recipe"),
        "started from": facts.fact("initial_weights"),
        "verdict": facts.fact("verdict"),
        "made by": f"Poise {facts.fact('version')}" if facts.fact("version") else None,
        "run": facts.fact("trained_by") or facts.fact("run_id"),
        "SHA-256 of the weights in the registry": facts.fact("weights_sha256"),
    }
    for name, value in rows.items():
        yield f"- {name}: {value or UNKNOWN}"


def _limits(content: CardContent) -> Iterator[str]:
    measured = sorted({each.dataset for _, each in content.facts.figures if each.dataset})
    yield "## Limits"
    if measured:
        yield f"- The model was evaluated only on {', '.join(measured)}."
    else:
        yield "- No evaluation of the model is recorded. Evaluate it on your own images."
    if any(each.low is None for _, each in content.facts.figures):
        yield "- A figure without an interval is one measurement. Its uncertainty is unknown."
    yield "- The content of the training images and the biases of the model are not recorded."


def _licence(content: CardContent) -> Iterator[str]:
    yield "## Licence"
    if content.licence is not None:
        yield (
            f"The licence is {plain(content.licence)}. The person who wrote this card named it, "
            "and Poise did not check it."
        )
        return
    yield (
        "The licence is unknown. Poise does not record the licence of the training images, or the "
        "licence of initial weights. Both licences can limit what you may do with this model. "
        "`poise models pull --licence TEXT` writes a licence into this card."
    )


def _cell(value: str | None) -> str:
    return (value or UNKNOWN).replace("|", "/")


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
