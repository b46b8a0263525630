"""Writes descriptions of versions and models, in Markdown, for MLflow's pages.

In: a version, its figures and its run. Out: a text that needs no other page. Next: MLflow's page of
the version. The text is written again when an evaluation adds a figure. A figure is a measured
value.
"""

from collections.abc import Iterator, Sequence
from urllib.parse import quote

from mlflow.artifacts import list_artifacts
from mlflow.exceptions import MlflowException

from poise.config.errors import PoiseError
from poise.config.wording import metric_phrase
from poise.tracking.registry.lineage import Maker, find_run_of, lineage_of
from poise.tracking.registry.markdown import plain
from poise.tracking.registry.promotion_records import Promotion, promotions_of
from poise.tracking.registry.recommendation import describe_model
from poise.tracking.registry.version import RegisteredFigure, Version, version_of
from poise.tracking.registry.version_lookup import location_of
from poise.tracking.store import Store

MAX_LENGTH = 5000
"""Largest number of characters of a description that MLflow's databases store."""

_FIGURES_FIRST = ("eval/knn_top1", "eval/linear_top1", "eval/dense_miou", "eval/rankme")
_MOST_PROMOTIONS = 3
_PICTURES = ("attention.png", "curves.png")
_FLAVOR_FILE = "MLmodel"


def describe(store: Store, name: str, *numbers: int) -> None:
    """Writes the descriptions of versions, and of their model, into MLflow.

    Raises:
        MlflowException: the store refuses a description.
    """
    for number in numbers:
        _describe_version(store, name, number)
    describe_model(store, name)


def _describe_version(store: Store, name: str, number: int) -> None:
    version = version_of(store.registry.get_model_version(name, str(number)))
    maker = find_run_of(store, version)
    promotions = promotions_of(store, name, number)
    text = version_text(
        version, maker, _pictures(store, maker), promotions, _has_flavor(store, version)
    )
    store.client.update_model_version(name, str(number), text)


def version_text(
    version: Version,
    maker: Maker,
    pictures: Sequence[str] = (),
    promotions: Sequence[tuple[str, Promotion]] = (),
    has_flavor: bool = False,
) -> str:
    """Returns the description of a version. It has at most ``MAX_LENGTH`` characters.

    Args:
        version: version to describe.
        maker: run that made the version.
        pictures: paths of pictures among the run's artifacts.
        promotions: aliases that the version got, with the records of the promotions.
        has_flavor: whether ``mlflow.pyfunc`` can load the version.
    """
    before = [
        *_opening(version, maker),
        *_training(version, maker),
        *_verdict(version, maker),
    ]
    after = [
        *_pictures_section(maker, pictures),
        *_limits(version, maker),
        *_loading(version, has_flavor),
        *_history(version, maker, promotions),
    ]
    room = MAX_LENGTH - sum(len(line) + 1 for line in (*before, *after))
    return "\n".join([*before, *_figures(version, room), *after])[:MAX_LENGTH]


def ordered_figures(version: Version) -> list[tuple[str, RegisteredFigure]]:
    """Returns a version's measured values: main metric, other common metrics, then all others."""
    first = [each for each in (version.metric, *_FIGURES_FIRST) if each in version.figures]
    names = dict.fromkeys([*first, *sorted(version.figures)])
    return [(name, version.figures[name]) for name in names if name is not None]


def _opening(version: Version, maker: Maker) -> Iterator[str]:
    tags, main = version.tags, version.main_figure
    verdict = tags.get("verdict", "not judged")
    if main is not None:
        # The first words are all that MLflow's list of versions shows.
        name = metric_phrase(version.metric or "").removeprefix("eval/")
        yield f"{name} {main.with_interval}, verdict: {verdict}."
        yield ""
    objective = f" with {plain(tags['objective'].upper())}" if "objective" in tags else ""
    how = f"imported from {plain(tags['imported_from'])}" if "imported_from" in tags else "trained"
    backbone = plain(tags.get("backbone") or "of an unknown kind")
    yield f"This version is the vision backbone **{backbone}**. It was {how}{objective}."
    yield ""


def _training(version: Version, maker: Maker) -> Iterator[str]:
    settings, tags = maker.settings, version.tags
    if not settings and "imported_from" in tags:
        return
    yield "### How it was trained"
    start = tags.get("initial_weights")
    weights = f"Training started from {start or 'random weights'}."
    recipe, dataset = (plain(tags.get(key, "unknown")) for key in ("recipe", "dataset"))
    yield f"The recipe is **{recipe}**, and the dataset is **{dataset}**. {weights}"
    facts = [
        f"{word} {settings[key]}"
        for word, key in (
            ("epochs", "training.epochs"),
            ("images per step", "training.batch_size"),
            ("image side in pixels", "data.views.global_px"),
            ("learning rate", "optimizer.base_lr"),
            ("seed", "seed"),
        )
        if key in settings
    ]
    if "poise.verdict_step" in maker.tags:
        facts.insert(0, f"steps {maker.tags['poise.verdict_step']}")
    if facts:
        yield f"Settings: {', '.join(facts)}. The parameters of the run contain the whole recipe."
    yield ""


def _verdict(version: Version, maker: Maker) -> Iterator[str]:
    verdict = version.tags.get("verdict")
    if verdict is None:
        return
    yield "### Verdict"
    yield f"**{verdict}**{f'. {plain(maker.evidence)}' if maker.evidence else ''}"
    if verdict == "healthy":
        yield ""
        yield "Healthy means that training did not collapse or diverge. A run that began from"
        yield "trained weights is healthy only if it also kept most of their k-NN accuracy. Healthy"
        yield "does not say how good the features are."
    yield ""


def _figures(version: Version, room: int) -> list[str]:
    """Writes the list of measured values, with at most ``room`` characters."""
    found = ordered_figures(version)
    if not found:
        return ["### Figures", "Nothing was measured.", ""]
    lines = ["### Figures"]
    rest = f"`poise models show {version.short}` lists all {len(found)} figures."
    room -= len(rest) + 20
    for name, figure in found:
        place = f", {plain(figure.where)}" if figure.has_known_place else ""
        row = f"- {name}: **{figure}**{_in_brackets(figure.interval)}{place}"
        room -= len(row) + 1
        if room < 0:
            return [*lines, "", rest, ""]
        lines.append(row)
    return [*lines, ""]


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def _pictures_section(maker: Maker, pictures: Sequence[str]) -> Iterator[str]:
    if maker.name is None or maker.experiment_id is None:
        return
    yield "### Pictures"
    for path in pictures:
        source = f"get-artifact?path={quote(path, safe='')}&run_uuid={maker.run_id}"
        yield f"![{path}]({source})"
    page = f"#/experiments/{maker.experiment_id}/runs/{maker.run_id}/artifacts"
    yield f"The page of the run has [curves, attention and the files of every evaluation]({page})."
    yield ""


def _limits(version: Version, maker: Maker) -> Iterator[str]:
    measured = sorted({figure.dataset for figure in version.figures.values() if figure.dataset})
    yield "### Limits"
    on = (
        f"was evaluated only on {plain(', '.join(measured))}"
        if measured
        else ("has no evaluation with the name of a dataset")
    )
    yield f"- The backbone {on}. Other images may give other values."
    if any(figure.low is None for figure in version.figures.values()):
        yield "- A figure without an interval is one measurement. Its uncertainty is unknown."
    px = maker.settings.get("data.views.global_px")
    if px:
        yield f"- It was trained on images of {px} pixels. It accepts other sizes too."
    yield "- The licence of the training images applies. Poise does not know this licence."
    yield ""


def _loading(version: Version, has_flavor: bool) -> Iterator[str]:
    yield "### How to use it"
    if has_flavor:
        yield "MLflow loads it without Poise. An image is an array, a pathlib.Path or bytes:"
        yield "```python"
        yield "import mlflow, pathlib"
        yield f'model = mlflow.pyfunc.load_model("{version.uri}")'
        yield 'embeddings = model.predict([pathlib.Path("photo.png")])'
        yield "```"
        yield "Poise loads it as a module of PyTorch:"
    yield "```python"
    yield "from poise.tracking.registry.fetch import load_model"
    yield f'backbone, config = load_model("{version.uri}")'
    yield "```"
    yield "These commands evaluate it, train on from it, and export it:"
    yield "```"
    yield f"poise evaluate knn {version.uri} DATASET"
    yield f"poise pretrain RECIPE --from {version.uri}"
    yield f"poise models pull {version.uri} DEST    # a folder that timm loads without Poise"
    yield "```"
    yield ""


def _history(
    version: Version, maker: Maker, promotions: Sequence[tuple[str, Promotion]]
) -> Iterator[str]:
    yield "### Where it comes from"
    for what, text in lineage_of(version, maker):
        yield f"- {what or 'that'}: {plain(text)}"
    for alias, record in promotions[:_MOST_PROMOTIONS]:
        yield f"- promoted to `@{alias}` {plain(str(record))}"


def _has_flavor(store: Store, version: Version) -> bool:
    """Returns True if MLflow's own files are beside the package.

    Versions of older Poise, and backbones that timm alone cannot build, lack these files.
    """
    try:
        place = location_of(store, version)
        found = list_artifacts(artifact_uri=place, tracking_uri=store.uri)
    except (MlflowException, OSError, PoiseError):  # the files are gone
        return False
    # MLflow names the folder of the version, too
    return any(file.path.rpartition("/")[2] == _FLAVOR_FILE for file in found)


def _pictures(store: Store, maker: Maker) -> tuple[str, ...]:
    if maker.name is None:
        return ()
    try:
        found = {file.path for file in store.client.list_artifacts(maker.run_id, "pictures")}
    except (MlflowException, OSError):  # a run without pictures
        return ()
    return tuple(f"pictures/{name}" for name in _PICTURES if f"pictures/{name}" in found)
