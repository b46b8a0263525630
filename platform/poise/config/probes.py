"""The settings of objectives that learn from labels: probes and fine-tuning."""

from typing import Annotated, Literal

from pydantic import Field

from poise.config.base import NonNegative, Probability, Strict
from poise.config.objectives import ObjectiveSettings
from poise.config.views import ViewsConfig

Multiplier = Annotated[float, Field(gt=0)]


class AbmilpConfig(Strict):
    """How AbMILP (arXiv 2412.03215) pools tokens. The defaults are the paper's recipe."""

    depth: int = Field(1, ge=1, le=8)
    """Linear layers of the predictor of attention."""

    activation: Literal["tanh", "relu"] = "relu"
    """Activation between those layers; a single layer has none."""

    self_attention: Literal["none", "map", "both"] = "none"
    """Attention among tokens before pooling: for the weights alone, or for the tokens too."""

    condition: Literal["none", "pe"] = "none"
    """`pe` adds sine-cosine positions to what the predictor sees."""

    content: Literal["patch", "all"] = "patch"
    """Tokens that are pooled: patches alone, or [cls] and registers as well."""


class LabelledSettings(ObjectiveSettings):
    """Settings that all objectives with labels share."""

    model: str
    """Folder of the backbone's package."""

    def check_views(self, views: ViewsConfig) -> None:
        """Raises ValueError when there is not exactly one view."""
        if (views.global_count, views.local_count) != (1, 0):
            raise ValueError(
                f"objective {self.name} classifies one view per image: set "
                "data.views.global_count=1 and data.views.local_count=0, got "
                f"{views.global_count} and {views.local_count}"
            )


class ProbeConfig(LabelledSettings):
    """Linear classifiers on features of a frozen backbone, a grid of learning rates at once."""

    name: Literal["probe"] = "probe"

    features: tuple[str, ...] = Field(("cls",), min_length=1, strict=False)
    """Features to classify: `cls`, `mean`, `cls_mean`, `last_N`, `cp1` … `cp4`, `attn_lcte`,
    `attn_mn`, `abmilp`, or the `pooled` map of a residual network. Each has its own grid."""

    lr_multipliers: tuple[Multiplier, ...] = Field((1.0,), min_length=1, strict=False)
    """The grid: each head learns at `optimizer.base_lr` times one of these."""

    held_out: float = Field(0.1, ge=0, lt=1)
    """Share of the training images that no head learns from and that choose among the heads."""

    batch_norm: bool = False
    """Standardises features by batch statistics, without a scale of its own (eps 1e-6)."""

    weight_std: NonNegative = 0.01
    """Standard deviation of the classifiers' initial weights; 0 takes PyTorch's initialisation."""

    abmilp: AbmilpConfig = AbmilpConfig()


class FinetuneConfig(LabelledSettings):
    """The whole backbone learns labels. The defaults are MAE's for ViT-B (arXiv 2111.06377)."""

    name: Literal["finetune"] = "finetune"

    layer_decay: float = Field(0.65, gt=0, le=1)
    """Factor of the learning rate, from each block to the one below it."""

    drop_path: float = Field(0.1, ge=0, lt=1)
    label_smoothing: Probability = 0.1
    mixup: NonNegative = 0.8
    """Alpha of the mixing weight's beta distribution; 0 is off."""

    cutmix: NonNegative = 1.0
    """Alpha for pasted boxes; where mixup is on as well, each batch takes one of the two."""

    erase_probability: Probability = 0.25
    """Probability that a box of an image is replaced by noise."""

    weight_std: NonNegative = 2e-5
    """Standard deviation of the classifier's initial weights."""
