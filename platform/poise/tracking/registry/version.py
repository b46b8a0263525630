"""One version of a registered model, with its measured values and its history.

In: MLflow's object of a version. Out: a ``Version``. Next:
``poise.tracking.registry.version_search`` finds many versions, and
``poise.tracking.registry.registration`` makes a new one.

MLflow's page shows tags in a small box. So only values that people filter by have a tag of their
own (``OWN_TAGS``). The rest of the history is JSON in the tag ``poise_lineage``. The measured
values, called figures, are JSON in the tag ``poise_figures``.
"""

import json
import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, TypeVar

from mlflow.entities.model_registry import ModelVersion

logger = logging.getLogger(__name__)

PREFIX = "poise."
OWN_TAGS = ("objective", "backbone", "dataset", "verdict", "metric")
"""Names of tags that users can search for. ``metric`` contains the name of the version's main
figure.
"""

LINEAGE_TAG, FIGURES_TAG = "poise_lineage", "poise_figures"
"""Tags that contain JSON. Their names are sorted last on MLflow's page."""

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class RegisteredFigure:
    """One measured value of a version, with its unit, interval, protocol and dataset."""

    value: float
    unit: str = ""
    low: float | None = None
    """Lower end of the 95 % interval. Both ends are None if there is no interval."""

    high: float | None = None
    protocol: str | None = None
    dataset: str | None = None
    """Name of the dataset that was used for the measurement, or None if it is unknown."""

    def __str__(self) -> str:
        """Writes the value with its unit: ``61.2 %``."""
        number = f"{self.value:.1f}" if self.unit == "%" else f"{self.value:.4g}"
        return f"{number} {self.unit}".rstrip()

    @property
    def with_interval(self) -> str:
        """Value with its interval, such as ``61.2 % (58.1 to 64.2)``."""
        return f"{self} ({self.interval})" if self.interval else str(self)

    @property
    def interval(self) -> str:
        """Interval as text, such as ``58.1 to 64.2``. It is empty without an interval."""
        if self.low is None or self.high is None:
            return ""
        form = ".1f" if self.unit == "%" else ".4g"
        return f"{self.low:{form}} to {self.high:{form}}"

    @property
    def where(self) -> str:
        """Protocol and dataset, as far as known: ``knn/dino-v1 on scenes-test`` or ``unknown``."""
        return " on ".join(each for each in (self.protocol, self.dataset) if each) or "unknown"

    @property
    def has_known_place(self) -> bool:
        """Whether the protocol or the dataset is known."""
        return bool(self.protocol or self.dataset)

    @property
    def is_finite(self) -> bool:
        """Whether the value is finite, so neither NaN nor infinite."""
        return math.isfinite(self.value)


Figures = Mapping[str, RegisteredFigure]


def places_of(figures: Iterable[RegisteredFigure | None]) -> list[str]:
    """Lists the different protocols and datasets with which values were measured, sorted."""
    return sorted({each.where for each in figures if each is not None})


@dataclass(frozen=True)
class Version:
    """One version of a registered model."""

    name: str
    version: int
    aliases: tuple[str, ...]
    created_ms: int
    run_id: str
    source: str
    """Address of the stored package."""

    stored_tags: Mapping[str, str]
    """Tags as MLflow stores them."""

    @property
    def uri(self) -> str:
        """Exact reference of the version, such as ``models:/name/3``."""
        return f"models:/{self.name}/{self.version}"

    @property
    def short(self) -> str:
        """Short reference that every command accepts, such as ``name/3``."""
        return f"{self.name}/{self.version}"

    @cached_property
    def tags(self) -> dict[str, str]:
        """Tags without the prefix ``poise.``, together with the lineage.

        The keys are objective, backbone, dataset, verdict, metric, recipe, dataset_fingerprint,
        weights_sha256, version, commit and study_run. If the run started from a trained model,
        there are also initial_weights, initial_weights_sha256 and initial_weights_origin.
        """
        own = {
            key.removeprefix(PREFIX): value
            for key, value in self.stored_tags.items()
            if key not in (LINEAGE_TAG, FIGURES_TAG)
        }
        return own | self._read(LINEAGE_TAG, _read_texts)

    @cached_property
    def figures(self) -> dict[str, RegisteredFigure]:
        """Maps the name of each metric to the measured value of the version."""
        if FIGURES_TAG in self.stored_tags:
            return self._read(FIGURES_TAG, read_figures)
        return self._only_figure()

    def value_of(self, metric: str) -> float | None:
        """Returns the value of one metric, or None if the version does not have the metric.

        For 10,000 versions, this function is much faster than ``figures``.
        """
        if FIGURES_TAG not in self.stored_tags or "figures" in self.__dict__:
            figure = self.figures.get(metric)
            return None if figure is None else figure.value
        found = self.plain_figures.get(metric)
        value = found.get("value") if isinstance(found, dict) else None
        return value if isinstance(value, int | float) else None

    @cached_property
    def plain_figures(self) -> dict[str, Any]:
        """Measured values as a dict for JSON. Unknown fields are left out."""
        if FIGURES_TAG in self.stored_tags:
            return self._read(FIGURES_TAG, _read_object)
        content: dict[str, Any] = json.loads(written_figures(self.figures))
        return content

    @property
    def metric(self) -> str | None:
        """Name of the most important figure, or None if nothing was measured."""
        return self.tags.get("metric")

    @property
    def main_figure(self) -> RegisteredFigure | None:
        """Most important figure of this version, or None if nothing was measured."""
        return self.figures.get(self.metric) if self.metric else None

    def _only_figure(self) -> dict[str, RegisteredFigure]:
        """Returns the only measured value of a version that an older version of Poise registered.

        Such a version has a separate tag for each field of this value.
        """
        tags = self.tags
        try:
            value = float(tags["metric_value"])
        except (KeyError, ValueError):
            return {}
        return {tags["metric"]: RegisteredFigure(value, protocol=tags.get("protocol"))}

    def _read(self, tag: str, read: Callable[[str], dict[str, ResultT]]) -> dict[str, ResultT]:
        """Reads a tag that contains JSON.

        A damaged tag is ignored, so that the version is still listed.
        """
        try:
            return read(self.stored_tags.get(tag, "{}"))
        except (ValueError, TypeError, AttributeError):
            logger.warning("%s: its tag %s was changed by hand and is ignored", self.uri, tag)
            return {}


def version_of(found: ModelVersion, aliases: Iterable[str] = ()) -> Version:
    """Makes a version from MLflow's object.

    Args:
        found: MLflow's object. Over HTTP, its version number is a text.
        aliases: aliases of the version. A search in MLflow does not return aliases.
    """
    return Version(
        name=found.name,
        version=int(found.version),
        aliases=tuple(sorted({*aliases, *(found.aliases or ())})),
        created_ms=found.creation_timestamp,
        run_id=found.run_id or "",
        source=found.source,
        stored_tags=dict(found.tags),
    )


def stored_tags(tags: Mapping[str, object], figures: Figures) -> dict[str, str]:
    """Makes the tags of a new version: one for each searchable value, and two with JSON."""
    texts = {key: str(value) for key, value in tags.items()}
    own = {f"{PREFIX}{key}": texts[key] for key in OWN_TAGS if key in texts}
    lineage = {key: value for key, value in texts.items() if key not in OWN_TAGS}
    return own | {LINEAGE_TAG: _compact(lineage), FIGURES_TAG: written_figures(figures)}


def written_figures(figures: Figures) -> str:
    """Writes measured values as JSON.

    Values that are not finite, and empty fields, are left out.
    """
    return _compact(
        {
            name: {key: value for key, value in asdict(figure).items() if value not in (None, "")}
            for name, figure in figures.items()
            if figure.is_finite
        }
    )


def read_figures(text: str) -> dict[str, RegisteredFigure]:
    """Reads figures from a text that ``written_figures`` made.

    Raises:
        ValueError, TypeError or AttributeError: the text does not contain figures.
    """
    figures = {str(name): RegisteredFigure(**fields) for name, fields in json.loads(text).items()}
    for figure in figures.values():
        math.isfinite(figure.value)  # raises TypeError for a text
    return figures


def _read_object(text: str) -> dict[str, Any]:
    content = json.loads(text)
    if not isinstance(content, dict):
        raise TypeError(text)
    return content


def _read_texts(text: str) -> dict[str, str]:
    return {str(key): str(value) for key, value in json.loads(text).items()}


def _compact(content: Mapping[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
