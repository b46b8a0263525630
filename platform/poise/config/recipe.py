"""Recipe: all settings of one run."""

import math
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from poise.config.base import NAME_PATTERN, NonNegative, Pixels, PositiveInt, Probability, Strict
from poise.config.objectives import DinoConfig, MaeConfig, Signals
from poise.config.probes import FinetuneConfig, LabelledSettings, ProbeConfig
from poise.config.storage import check_uri
from poise.config.training import TrainingConfig
from poise.config.views import ViewsConfig

_FIRST_OBJECTIVE = "dino"  # objective of recipes that name none
_MOST_TRIED = 100_000  # number of sizes that are tried to find one that fits


def objective_name(settings: Any) -> str:
    """Returns the objective's name from a recipe's ``objective`` group, a dict or an object."""
    if isinstance(settings, dict):
        return str(settings.get("name", _FIRST_OBJECTIVE))
    return str(getattr(settings, "name", _FIRST_OBJECTIVE))


def _named(settings: Any) -> Any:
    return {"name": objective_name(settings), **settings} if type(settings) is dict else settings


ObjectiveConfig = Annotated[
    DinoConfig | MaeConfig | ProbeConfig | FinetuneConfig,
    Field(discriminator="name"),
    BeforeValidator(_named),
]
"""Settings of one objective. The value of ``name`` selects the objective."""


LocationText = Annotated[str, AfterValidator(check_uri)]
"""Path or URI of a folder, or name of a model. A URI with a password or a key is refused."""


class DataConfig(Strict):
    """Training dataset, and how its views reach the training workers."""

    dataset: LocationText
    """Folder of a prepared dataset (`poise data prepare`), or its URI, such as
    `s3://bucket/photos`."""

    views: ViewsConfig = ViewsConfig()

    placement: Literal["worker", "cluster", "cpu_nodes"] = "worker"
    """Where views are cut: in processes of the training worker (`worker`), by Ray Data on any node
    (`cluster`), or by Ray Data on nodes without a GPU (`cpu_nodes`).
    """

    cut_processes: int = Field(2, ge=0, le=256)
    """Number of processes that cut views, per training worker. With 0, the training process itself
    cuts views.
    """

    prefetch_batches: PositiveInt = 4
    """Number of batches of views that are kept ready, per training worker."""


class BackboneConfig(Strict):
    """Backbone: a model of timm, chosen by its name."""

    name: str = "vit_small_patch16_224"
    """Name of a model in timm."""

    num_registers: int = Field(0, ge=0, le=64)
    """Number of register tokens (arXiv 2309.16588); only for ViTs."""

    drop_path: float = Field(0.1, ge=0, lt=1)
    """Rate of stochastic depth in the last block, rising linearly from 0 in the first block. In
    DINO only the student has stochastic depth.
    """

    position_resampling: Literal["dino", "timm"] = "dino"
    """Interpolation of position embeddings for views that do not have the backbone's native size:
    `dino`, as published (bicubic, no antialiasing, offset 0.1), or `timm` (bicubic, antialiased).
    """

    options: dict[str, Any] = Field(default_factory=dict)
    """More arguments for the model in timm, for example its size: `{embed_dim: 192, depth: 6}`."""

    initial_weights: LocationText | None = None
    """Model whose weights the run starts from: `models:/NAME/VERSION`, `models:/NAME@ALIAS`, or the
    folder of a saved model (a model package). None starts from random weights.
    """

    @field_validator("options")
    @classmethod
    def _finite(cls, options: dict[str, Any]) -> dict[str, Any]:
        for name, value in options.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"backbone.options.{name}={value} must be a finite number")
        return options

    @property
    def described(self) -> dict[str, Any]:
        """Returns the settings of the architecture, which are saved with the backbone."""
        return self.model_dump(mode="json", exclude={"initial_weights"})


class OptimizerConfig(Strict):
    """Optimiser and its schedules. The defaults are DINO's published values."""

    name: Literal["adamw", "sgd", "lars"] = "adamw"
    """Name of the optimiser."""

    base_lr: Annotated[float, Field(ge=0)] = 0.0005
    """Learning rate for a global batch of 256 images. The peak learning rate is `base_lr ×
    batch_size / 256`.
    """

    final_lr: NonNegative = 1e-6
    """Learning rate at the end of the cosine. This value is not scaled with the batch size."""

    warmup_epochs: NonNegative = 10
    """Number of epochs in which the learning rate rises from 0 to its peak."""

    warmup_meets_peak: bool = True
    """Whether the last warm-up step already has the peak learning rate (DINO), or only the next
    step (MAE).
    """

    weight_decay: NonNegative = 0.04
    """Weight decay at the start of the run."""

    final_weight_decay: NonNegative | None = 0.4
    """Weight decay at the end of the cosine; None keeps `weight_decay` constant."""

    momentum: Probability = 0.9
    """Momentum of sgd and lars."""

    betas: tuple[Probability, Probability] = Field((0.9, 0.999), strict=False)
    """Decay rates of AdamW."""

    clip_grad: NonNegative = 3.0
    """Largest gradient norm; larger gradients are scaled down. 0 switches clipping off."""

    clip_mode: Literal["per_tensor", "global"] = "per_tensor"
    """Whether each tensor's gradient is clipped by itself, as published, or all gradients together.
    """


class EvaluationConfig(Strict):
    """Probes that run during training.

    With labels, these are k-NN (`knn/dino-v1`) and a linear probe (`ridge/poise-v1`). Without
    labels, these are RankMe (`rankme/poise-v1`) and LiDAR (`lidar/poise-v1`).
    """

    queries: LocationText | None = None
    """Folder of a labelled dataset to classify. None runs only the probes that need no labels."""

    bank: LocationText | None = None
    """Folder of the dataset whose images vote in k-NN. The probes without labels use this dataset
    too. If `queries` is set, the dataset needs labels. None means the training dataset.
    """

    every_epochs: PositiveInt | None = 1
    """Number of epochs between evaluations; None switches evaluation off."""

    knn_k: PositiveInt = 20
    """Number of nearest images that vote in k-NN."""

    knn_temperature: float = Field(0.07, gt=0)
    """Temperature of the votes in k-NN."""

    image_px: Pixels | None = None
    """Side of the evaluated images in pixels; None means `data.views.global_px`."""

    max_bank_images: PositiveInt = 10_000
    """Largest number of images of the bank that vote."""

    max_query_images: PositiveInt = 2_000
    """Largest number of query images that are classified."""


class Recipe(Strict):
    """One complete run. Two runs of a recipe on the same machine give the same numbers."""

    name: str = Field(pattern=NAME_PATTERN)
    """Name of the run: letters, digits, `.`, `_` and `-`. Poise adds the start time to the name."""

    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of the initial weights, of the order of images, and of the views."""

    data: DataConfig
    backbone: BackboneConfig = BackboneConfig()
    objective: ObjectiveConfig = DinoConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        epochs, training = self.training.epochs, self.training
        if training.batch_size % training.num_workers:
            raise ValueError(
                f"training.batch_size={training.batch_size} must be a multiple of "
                f"training.num_workers={training.num_workers}, so that workers have equal shares"
            )
        self._check_min_workers()
        self._check_micro_batches()
        self._check_sharding()
        if self.optimizer.warmup_epochs > epochs:
            raise ValueError(
                f"optimizer.warmup_epochs={self.optimizer.warmup_epochs} is longer than "
                f"training.epochs={epochs}"
            )
        self.objective.check_epochs(epochs)
        if self.backbone.initial_weights and isinstance(self.objective, LabelledSettings):
            raise ValueError(
                f"objective {self.objective.name} begins with the model in objective.model: leave "
                "backbone.initial_weights out"
            )
        self.objective.check_views(self.data.views)
        return self

    def _check_min_workers(self) -> None:
        training = self.training
        if training.min_workers is None:
            return
        if training.min_workers > training.num_workers:
            raise ValueError(
                f"training.min_workers={training.min_workers} is more than training.num_workers="
                f"{training.num_workers}; set it to this number or fewer"
            )
        if isinstance(self.objective, LabelledSettings):
            raise ValueError(
                f"training.min_workers={training.min_workers}: objective {self.objective.name} "
                "needs a fixed number of workers; set it to null"
            )

    def _check_micro_batches(self) -> None:
        size, images = self.training.micro_batch_size, self.worker_batch_size
        if size is None:
            return
        if isinstance(self.objective, LabelledSettings):
            raise ValueError(
                f"training.micro_batch_size={size}: objective {self.objective.name} reads its "
                "whole batch at once; set it to null"
            )
        if size < images and images % size:
            smaller = range(size - 1, max(0, size - _MOST_TRIED), -1)
            fits = next((part for part in smaller if images % part == 0), math.gcd(images, size))
            raise ValueError(
                f"training.micro_batch_size={size} does not divide the {images} images of a worker "
                f"(training.batch_size={self.training.batch_size} / training.num_workers="
                f"{self.training.num_workers}); {fits} does"
            )

    def _check_sharding(self) -> None:
        if self.training.sharding == "none":
            return
        if isinstance(self.objective, LabelledSettings):
            raise ValueError(
                f"training.sharding={self.training.sharding}: objective {self.objective.name} "
                "trains on whole weights; set it to none"
            )
        if self.training.compile:
            raise ValueError(
                f"training.sharding={self.training.sharding}: shared weights cannot be compiled "
                "yet; set training.compile=false, or training.sharding=none"
            )

    @property
    def worker_batch_size(self) -> int:
        """Number of images in one step on each worker."""
        return self.training.batch_size // self.training.num_workers

    @property
    def micro_batch_size(self) -> int:
        """Number of images that a worker passes through the model at once."""
        images = self.worker_batch_size
        return min(self.training.micro_batch_size or images, images)

    @property
    def signals(self) -> Signals:
        """Properties of objective, batch and warm-up by which the run is judged."""
        return replace(
            self.objective.signals,
            batch_images=self.training.batch_size,
            warmup_share=self.optimizer.warmup_epochs / self.training.epochs,
        )

    @property
    def peak_lr(self) -> float:
        """Learning rate at the end of warm-up."""
        return self.optimizer.base_lr * self.training.batch_size / 256

    @property
    def evaluation_px(self) -> int:
        """Side of the evaluated images, in pixels."""
        return self.evaluation.image_px or self.data.views.global_px
