"""A recipe: everything that decides one run."""

import math
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from poise.config.base import NAME_PATTERN, NonNegative, Pixels, PositiveInt, Probability, Strict
from poise.config.objectives import DinoConfig, MaeConfig, Signals
from poise.config.probes import FinetuneConfig, LabelledSettings, ProbeConfig
from poise.config.views import ViewsConfig

_FIRST_OBJECTIVE = "dino"  # of recipes that do not name theirs


def objective_name(settings: Any) -> str:
    """Returns the name in a recipe's ``objective`` group, as written or as built."""
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
"""The settings of one objective; ``name`` says which one."""


class DataConfig(Strict):
    """The dataset and how its views reach the training workers."""

    dataset: str
    """Folder of a prepared dataset (`poise data prepare`)."""

    views: ViewsConfig = ViewsConfig()

    placement: Literal["worker", "cluster"] = "worker"
    """Place where views are cut: in the training worker's processes, or by Ray Data on any node."""

    cut_processes: int = Field(2, ge=0, le=256)
    """Processes that cut views, per training worker. 0 cuts them in the training process."""

    prefetch_batches: PositiveInt = 4
    """Batches of views kept ready, per training worker."""


class BackboneConfig(Strict):
    """A timm model by name."""

    name: str = "vit_small_patch16_224"

    num_registers: int = Field(0, ge=0, le=64)
    """Register tokens (arXiv 2309.16588); ViT only."""

    drop_path: float = Field(0.1, ge=0, lt=1)
    """Stochastic depth of the last block, rising linearly from 0 at the first; student only."""

    position_resampling: Literal["dino", "timm"] = "dino"
    """Interpolation of position embeddings for views that are not of the native size: as
    published (bicubic, no antialiasing, offset 0.1) or as timm does (bicubic, antialiased)."""

    options: dict[str, Any] = Field(default_factory=dict)
    """Arguments passed on to timm, for backbones of other sizes: `{embed_dim: 192, depth: 6}`."""

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
    """The optimiser and its schedules. The defaults are DINO's published ones."""

    name: Literal["adamw", "sgd", "lars"] = "adamw"

    base_lr: Annotated[float, Field(ge=0)] = 0.0005
    """Learning rate for a global batch of 256; the peak is `base_lr × batch_size / 256`."""

    final_lr: NonNegative = 1e-6
    """Learning rate at the end of the cosine; not scaled with the batch."""

    warmup_epochs: NonNegative = 10
    warmup_meets_peak: bool = True
    """The last warm-up step has the peak already (DINO); otherwise the one after it (MAE)."""

    weight_decay: NonNegative = 0.04
    final_weight_decay: NonNegative | None = 0.4
    """Weight decay at the end of the cosine; none keeps `weight_decay` throughout."""

    momentum: Probability = 0.9
    """Momentum of sgd and lars."""

    betas: tuple[Probability, Probability] = Field((0.9, 0.999), strict=False)
    clip_grad: NonNegative = 3.0
    """Largest gradient norm; 0 is off."""

    clip_mode: Literal["per_tensor", "global"] = "per_tensor"
    """Whether gradients are clipped tensor by tensor, as published, or all together."""


class TrainingConfig(Strict):
    """Length of the run, size of its batches, and the hardware."""

    epochs: PositiveInt = 100
    batch_size: PositiveInt = 512
    """Images per step over all workers."""

    num_workers: PositiveInt = 1
    """Ray Train workers."""

    cpus_per_worker: float = Field(1, gt=0)
    device: Literal["any", "cpu", "cuda"] = "any"
    """`any` takes one GPU per worker where the cluster has GPUs, else the CPU."""

    precision: Literal["fp32", "bf16"] = "bf16"
    """`bf16` is autocast, used where the hardware computes it; elsewhere it is fp32."""

    compile: bool = False
    log_every_steps: PositiveInt = 50
    checkpoint_every_steps: PositiveInt = 1000
    keep_checkpoints: PositiveInt | None = 2
    """Number of the latest checkpoints to keep; none keeps all."""

    stop_after_steps: PositiveInt | None = None
    """Ends the run early; the schedules still span `epochs`."""

    stop_collapsed: bool = False
    """Ends the run early once it is judged to have collapsed, diverged or got stuck."""


class EvaluationConfig(Strict):
    """The probes that watch training.

    With labels `knn/dino-v1` and a linear one, `ridge/poise-v1`; without, `rankme/poise-v1` and
    `lidar/poise-v1`.
    """

    queries: str | None = None
    """Folder of a labelled dataset to classify; none leaves the probes that need no labels."""

    bank: str | None = None
    """Folder of the dataset that votes, then labelled, and that the probes without labels look at;
    none means the training dataset."""

    every_epochs: PositiveInt | None = 1
    """None switches the probes off."""

    knn_k: PositiveInt = 20
    knn_temperature: float = Field(0.07, gt=0)
    image_px: Pixels | None = None
    """Side of the evaluated image; none means `data.views.global_px`."""

    max_bank_images: PositiveInt = 10_000
    max_query_images: PositiveInt = 2_000


class Recipe(Strict):
    """One complete run. Two runs of one recipe on one machine give the same numbers."""

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
        """Returns what diagnostics will find in the metrics of a run."""
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
        """Side of the images that probes see."""
        return self.evaluation.image_px or self.data.views.global_px
