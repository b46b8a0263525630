"""Recipe: all settings of one run."""

import math
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from poise.config.base import NAME_PATTERN, NonNegative, Pixels, PositiveInt, Probability, Strict
from poise.config.objectives import DinoConfig, MaeConfig, Signals
from poise.config.probes import FinetuneConfig, LabelledSettings, ProbeConfig
from poise.config.views import ViewsConfig

_FIRST_OBJECTIVE = "dino"  # of recipes that do not name their objective


def objective_name(settings: Any) -> str:
    """Returns the name in a recipe's ``objective`` group, given as a dict or as an object."""
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
"""Settings of one objective; ``name`` chooses the objective."""


class DataConfig(Strict):
    """Dataset, and how its views reach the training workers."""

    dataset: str
    """Folder of a prepared dataset (`poise data prepare`)."""

    views: ViewsConfig = ViewsConfig()

    placement: Literal["worker", "cluster"] = "worker"
    """Where views are cut: in processes of the training worker, or by Ray Data on any node."""

    cut_processes: int = Field(2, ge=0, le=256)
    """Number of processes that cut views, per training worker. With 0, the training process cuts
    them.
    """

    prefetch_batches: PositiveInt = 4
    """Number of batches of views that are kept ready, per training worker."""


class BackboneConfig(Strict):
    """Model of timm, chosen by its name."""

    name: str = "vit_small_patch16_224"

    num_registers: int = Field(0, ge=0, le=64)
    """Number of register tokens (arXiv 2309.16588); only for ViTs."""

    drop_path: float = Field(0.1, ge=0, lt=1)
    """Rate of stochastic depth in the last block, rising linearly from 0 in the first block. In
    DINO only the student has it.
    """

    position_resampling: Literal["dino", "timm"] = "dino"
    """Interpolation of position embeddings for views of another size than the native size: `dino`,
    as published (bicubic, no antialiasing, offset 0.1), or `timm` (bicubic, antialiased).
    """

    options: dict[str, Any] = Field(default_factory=dict)
    """Arguments for timm, for backbones of other sizes: `{embed_dim: 192, depth: 6}`."""

    initial_weights: str | None = None
    """Model whose weights the run starts from: `models:/NAME/VERSION`, `models:/NAME@ALIAS`, or the
    folder of a package. None starts from random weights."""

    @field_validator("options")
    @classmethod
    def _finite(cls, options: dict[str, Any]) -> dict[str, Any]:
        for name, value in options.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"backbone.options.{name}={value} must be a finite number")
        return options

    @property
    def described(self) -> dict[str, Any]:
        """Returns the architecture alone, as plain values for a backbone's package."""
        return self.model_dump(mode="json", exclude={"initial_weights"})


class OptimizerConfig(Strict):
    """Optimiser and its schedules. The defaults are DINO's published values."""

    name: Literal["adamw", "sgd", "lars"] = "adamw"

    base_lr: Annotated[float, Field(ge=0)] = 0.0005
    """Learning rate for a global batch of 256 images. The peak is `base_lr × batch_size / 256`."""

    final_lr: NonNegative = 1e-6
    """Learning rate at the end of the cosine. It is not scaled with the batch size."""

    warmup_epochs: NonNegative = 10
    warmup_meets_peak: bool = True
    """Whether the last warm-up step already has the peak (DINO), or only the step after it (MAE).
    """

    weight_decay: NonNegative = 0.04
    final_weight_decay: NonNegative | None = 0.4
    """Weight decay at the end of the cosine; None keeps `weight_decay` constant."""

    momentum: Probability = 0.9
    """Momentum of sgd and lars."""

    betas: tuple[Probability, Probability] = Field((0.9, 0.999), strict=False)
    clip_grad: NonNegative = 3.0
    """Largest gradient norm; 0 switches clipping off."""

    clip_mode: Literal["per_tensor", "global"] = "per_tensor"
    """Whether gradients are clipped per tensor, as published, or all together."""


class TrainingConfig(Strict):
    """Length of the run, size of its batches, and hardware."""

    epochs: PositiveInt = 100
    batch_size: PositiveInt = 512
    """Images per step over all workers."""

    num_workers: PositiveInt = 1
    """Number of Ray Train workers."""

    cpus_per_worker: float = Field(1, gt=0)
    device: Literal["any", "cpu", "cuda"] = "any"
    """`any` uses one GPU per worker if the cluster has GPUs, else the CPU."""

    precision: Literal["fp32", "bf16"] = "bf16"
    """`bf16` uses autocast if the hardware supports it; other hardware uses fp32."""

    compile: bool = False
    log_every_steps: PositiveInt = 50
    checkpoint_every_steps: PositiveInt = 1000
    keep_checkpoints: PositiveInt | None = 2
    """Number of the latest checkpoints to keep; None keeps all."""

    stop_after_steps: PositiveInt | None = None
    """Ends the run after this number of steps. The schedules still span `epochs`."""

    stop_collapsed: bool = False
    """Ends the run early if the judge says that it has collapsed, diverged or got stuck."""


class EvaluationConfig(Strict):
    """Probes that run during training.

    With labels: `knn/dino-v1` and the linear probe `ridge/poise-v1`. Without labels:
    `rankme/poise-v1` and `lidar/poise-v1`.
    """

    queries: str | None = None
    """Folder of a labelled dataset to classify; None runs only the probes that need no labels."""

    bank: str | None = None
    """Folder of the dataset that votes and that the probes without labels use. With `queries` it
    needs labels. None means the training dataset.
    """

    every_epochs: PositiveInt | None = 1
    """Epochs between evaluations; None switches evaluation off."""

    knn_k: PositiveInt = 20
    knn_temperature: float = Field(0.07, gt=0)
    image_px: Pixels | None = None
    """Side of the evaluated images in pixels; None means `data.views.global_px`."""

    max_bank_images: PositiveInt = 10_000
    max_query_images: PositiveInt = 2_000


class Recipe(Strict):
    """One complete run. Two runs of a recipe on the same machine give the same numbers."""

    name: str = Field(pattern=NAME_PATTERN)
    seed: int = Field(0, ge=0, lt=2**31)
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

    @property
    def worker_batch_size(self) -> int:
        """Images per step on each worker."""
        return self.training.batch_size // self.training.num_workers

    @property
    def signals(self) -> Signals:
        """Metrics that diagnostics will find for a run."""
        return replace(
            self.objective.signals,
            batch_images=self.training.batch_size,
            warmup_share=self.optimizer.warmup_epochs / self.training.epochs,
        )

    @property
    def peak_lr(self) -> float:
        """Learning rate after warm-up."""
        return self.optimizer.base_lr * self.training.batch_size / 256

    @property
    def evaluation_px(self) -> int:
        """Side of the images that probes use, in pixels."""
        return self.evaluation.image_px or self.data.views.global_px
