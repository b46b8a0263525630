"""Gates: conditions that a registered model version must meet before it gets an alias.

In: a YAML file. Out: the conditions as ``Gates``. Next: ``poise.tracking.registry.gates`` checks a
version against these conditions.
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from poise.config.base import NonNegative, Strict
from poise.config.loading import build, read_yaml
from poise.config.paths import given_path

DEFAULT_GATES = Path(__file__).with_name("default_gates.yaml")
"""File of the gates that apply if the user names no other file."""

Metrics = Annotated[tuple[str, ...], Field(strict=False)]


class KnnGate(Strict):
    """Gate that compares the k-NN accuracy of the new version with that of the present version.

    The present version is the version that has the alias now.
    """

    metrics: Metrics = Field(("probe/*/knn-dino-v1*/k20_top1", "eval/knn_top1"), min_length=1)
    """Names of the metric to compare, in order of preference. ``*`` stands for any text. The gate
    compares the first metric that both versions have on the same images, with the same bank. If
    there is no such metric, it compares the first metric that both versions have. It skips a metric
    whose stored answers differ in their images or in their bank.
    """

    margin_points: NonNegative = 1.0
    """Percentage points by which the new version's k-NN accuracy may be lower. The lower end of the
    95 % interval of the difference must not be below minus this number.
    """


class Gates(Strict):
    """Gates that `poise models promote` checks."""

    verdicts: Metrics = ("healthy",)
    """Verdicts of the judge with which a version passes. An empty list accepts every version."""

    evaluations: Metrics = ("eval/knn_top1",)
    """Evaluation metrics that the new version must have. ``*`` stands for any text."""

    knn: KnnGate | None = KnnGate()
    """Gate on k-NN accuracy; null skips this gate."""

    max_outlier_growth: NonNegative | None = 0.005
    """Largest increase of the share of outlier patches (0 to 1) over the version that has the
    alias. Null skips this gate.
    """

    max_forgotten_points: NonNegative | None = 1.0
    """Largest loss of k-NN accuracy, in percentage points, against the model that the training
    started from. This gate applies only to versions that started from a trained model. Null skips
    this gate.
    """


def load_gates(path: str | Path | None = None) -> Gates:
    """Reads the gates from a YAML file; None reads the default gates of Poise.

    Raises:
        PoiseError: the file, a key or a value is wrong; the message names the mistake and the fix.
    """
    file = DEFAULT_GATES if path is None else given_path(path)
    return build(Gates, read_yaml(file), str(file))
