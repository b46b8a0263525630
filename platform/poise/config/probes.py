"""Settings of objectives that learn from labels: probes and fine-tuning."""

from typing import Annotated, Literal

from pydantic import Field

from poise.config.base import NonNegative, Probability, Strict
from poise.config.objectives import ObjectiveSettings
from poise.config.views import ViewsConfig

Multiplier = Annotated[float, Field(gt=0)]


class AbmilpConfig(Strict):
    """Settings of the pooling of tokens by AbMILP (arXiv 2412.03215).

    The defaults are the paper's.
    """

    depth: int = Field(1, ge=1, le=8)
    """Number of linear layers in the predictor of attention."""

    activation: Literal["tanh", "relu"] = "relu"
    """Activation between those layers. A single layer has no activation."""

    self_attention: Literal["none", "map", "both"] = "none"
    """Attention among tokens before pooling: only for the weights (`map`), or also for the tokens
    (`both`).
    """

    condition: Literal["none", "pe"] = "none"
    """`pe` adds sine-cosine positions to the input of the predictor."""

    content: Literal["patch", "all"] = "patch"
    """Tokens that are pooled: only patches, or also [cls] and registers."""


class LabelledSettings(ObjectiveSettings):
    """Settings of all objectives with labels."""

    model: str
    """Folder of the backbone's package."""

    def check_views(self, views: ViewsConfig) -> None:
        """Raises ValueError unless there is exactly one view."""
        if (views.global_count, views.local_count) != (1, 0):
            raise ValueError(
                f"objective {self.name} classifies one view per image: set "
                "data.views.global_count=1 and data.views.local_count=0, got "
                f"{views.global_count} and {views.local_count}"
            )


class ProbeConfig(LabelledSettings):
    """Linear classifiers on features of a frozen backbone.

    A grid of learning rates trains at once.
    """

    name: Literal["probe"] = "probe"

    features: tuple[str, ...] = Field(("cls",), min_length=1, strict=False)
    """Features to classify: `cls`, `mean`, `cls_mean`, `last_N`, `cp1` … `cp4`, `attn_lcte`,
    `attn_mn`, `abmilp`, or the `pooled` map of a residual network. Each feature has its own grid.
    """

    lr_multipliers: tuple[Multiplier, ...] = Field((1.0,), min_length=1, strict=False)
    """Grid of learning rates: each head trains with `optimizer.base_lr` times one of these values.
    """

    held_out: float = Field(0.1, ge=0, lt=1)
    """Share of the training images that are held out to choose among the heads."""

    batch_norm: bool = False
    """Standardises features by batch statistics, without a learned scale (eps 1e-6)."""

    weight_std: NonNegative = 0.01
    """Standard deviation of the classifiers' initial weights; 0 uses PyTorch's initialisation."""

    abmilp: AbmilpConfig = AbmilpConfig()


class FinetuneConfig(LabelledSettings):
    """Fine-tuning of the whole backbone on labels.

    The defaults are MAE's for ViT-B (arXiv 2111.06377).
    """

    name: Literal["finetune"] = "finetune"

    layer_decay: float = Field(0.65, gt=0, le=1)
    """Factor of the learning rate from each block to the block below it."""

    drop_path: float = Field(0.1, ge=0, lt=1)
    label_smoothing: Probability = 0.1
    mixup: NonNegative = 0.8
    """Alpha of the beta distribution of mixing weights; 0 switches mixup off."""

    cutmix: NonNegative = 1.0
    """Alpha for pasted boxes; 0 switches cutmix off. If mixup is also on, each batch uses one of
    the two.
    """

    erase_probability: Probability = 0.25
    """Probability that a box of an image is replaced by noise."""

    weight_std: NonNegative = 2e-5
    """Standard deviation of the classifier's initial weights."""
