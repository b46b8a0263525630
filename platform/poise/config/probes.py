"""Settings of objectives that learn from labels: probes and fine-tuning."""

from typing import Annotated, Literal

from pydantic import Field

from poise.config.base import NonNegative, Probability, Strict
from poise.config.objectives import ObjectiveSettings
from poise.config.views import ViewsConfig

Multiplier = Annotated[float, Field(gt=0)]


class AbmilpConfig(Strict):
    """Settings of AbMILP, which pools tokens by attention (arXiv 2412.03215).

    The defaults are the paper's.
    """

    depth: int = Field(1, ge=1, le=8)
    """Number of linear layers in the network that predicts the attention."""

    activation: Literal["tanh", "relu"] = "relu"
    """Activation between the linear layers of the predictor. A single layer has no activation."""

    self_attention: Literal["none", "map", "both"] = "none"
    """Whether tokens attend to each other before pooling: not at all (`none`), only to compute the
    pooling weights (`map`), or also to compute the pooled tokens (`both`).
    """

    condition: Literal["none", "pe"] = "none"
    """Additional input of the predictor: none (`none`), or sine-cosine positions (`pe`)."""

    content: Literal["patch", "all"] = "patch"
    """Tokens that are pooled: only patches, or also [cls] and registers."""


class LabelledSettings(ObjectiveSettings):
    """Settings that all objectives with labels have."""

    model: str
    """Folder of the saved backbone (a model package)."""

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

    The classifiers of all learning rates in the grid are trained at the same time.
    """

    name: Literal["probe"] = "probe"

    features: tuple[str, ...] = Field(("cls",), min_length=1, strict=False)
    """Features to classify: `cls`, `mean`, `cls_mean`, `last_N` ([cls] of the last N blocks), `cp1`
    … `cp4` (mean of central patches), `attn_lcte` and `attn_mn` (mean of patches, weighted by
    attention), `abmilp`, or the `pooled` map of a residual network. Each feature has its own grid.
    """

    lr_multipliers: tuple[Multiplier, ...] = Field((1.0,), min_length=1, strict=False)
    """Grid of learning rates: each classifier trains with `optimizer.base_lr` times one of these
    values.
    """

    held_out: float = Field(0.1, ge=0, lt=1)
    """Share of the training images that are not trained on, but used to choose the best classifier.
    """

    batch_norm: bool = False
    """Whether features are standardised by batch statistics, without a learned scale (eps 1e-6)."""

    weight_std: NonNegative = 0.01
    """Standard deviation of the classifiers' initial weights; 0 uses PyTorch's initialisation."""

    abmilp: AbmilpConfig = AbmilpConfig()


class FinetuneConfig(LabelledSettings):
    """Fine-tuning of the whole backbone on labels.

    The defaults are MAE's for ViT-B (arXiv 2111.06377).
    """

    name: Literal["finetune"] = "finetune"

    layer_decay: float = Field(0.65, gt=0, le=1)
    """Factor of layer-wise decay: the learning rate of a block is this factor times the learning
    rate of the next block.
    """

    drop_path: float = Field(0.1, ge=0, lt=1)
    """Rate of stochastic depth in the last block."""

    label_smoothing: Probability = 0.1
    """Share of each label's probability that is spread evenly over all classes."""

    mixup: NonNegative = 0.8
    """Alpha of the beta distribution from which mixup draws its mixing weights; 0 switches mixup
    off.
    """

    cutmix: NonNegative = 1.0
    """Alpha of the beta distribution of CutMix, which pastes boxes of other images; 0 switches
    CutMix off. If mixup is also on, each batch uses one of the two.
    """

    erase_probability: Probability = 0.25
    """Probability that noise replaces a box of an image (random erasing)."""

    weight_std: NonNegative = 2e-5
    """Standard deviation of the classifier's initial weights."""
