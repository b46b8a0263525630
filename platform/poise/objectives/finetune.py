"""Fine-tuning of the whole backbone on labels (MAE's recipe, arXiv 2111.06377, appendix A).

Mixup, cutmix, random erasing and label smoothing come from timm. The published RandAugment is left
out: it works on single Pillow images, but here views are made on the device. The jitter of
``data.views`` can replace it.
"""

import random
import re
from collections import defaultdict
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.config.probes import FinetuneConfig
from poise.config.recipe import Recipe
from poise.data.batch import ViewBatch
from poise.data.views.color_augmentation import Photometry
from poise.models.backbone import VitBackbone
from poise.models.relative import RelativeBackbone
from poise.models.test_time_registers import AddedRegister
from poise.objectives.base import RunPosition, StepResult
from poise.objectives.labelled import Groups, LabelledObjective, nothing_learned, too_few

HEAD = "finetune"
"""Name of the only classifier, as a key of the result of ``scores``."""


class Classifier(nn.Module):
    """Backbone with a linear classifier on the mean of the patch tokens.

    As published, the classifier has its own LayerNorm. It replaces the last norm layer of the
    backbone.
    """

    def __init__(self, backbone: nn.Module, num_classes: int, weight_std: float):
        super().__init__()
        self.backbone: Any = backbone
        for name in ("norm", "fc_norm"):
            setattr(self.backbone.timm_model, name, nn.Identity())
        dim: int = backbone.feature_dim  # type: ignore[assignment]
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.linear = nn.Linear(dim, num_classes)
        nn.init.trunc_normal_(self.linear.weight, std=weight_std)
        nn.init.zeros_(self.linear.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Computes logits [B, C] of normalised images [B, 3, h, w]."""
        feature = self.backbone.tokens(images)[:, self.backbone.num_prefix_tokens :].mean(dim=1)
        logits: Tensor = self.linear(self.norm(feature))
        return logits


class Finetune(LabelledObjective):
    """Fine-tuning of all parameters. Earlier blocks have lower learning rates."""

    def __init__(self, recipe: Recipe, photometry: Photometry):
        """Loads the backbone and initialises the classifier.

        Images are normalised as the backbone's package says. The argument ``photometry`` is not
        used.

        Raises:
            PoiseError: as ``check_tunable`` and ``LabelledObjective``.
        """
        self.config: FinetuneConfig = recipe.objective  # type: ignore[assignment]
        super().__init__(recipe, self.config)
        check_tunable(self.loaded, self.config.model)
        _set_drop_path(self.loaded, self.config.drop_path)
        self.classifier = Classifier(self.loaded, self.num_classes, self.config.weight_std)
        self._mix = _build_mixing(self.config, self.num_classes)
        self._erase = _build_erasing(self.config)

    def step(self, batch: ViewBatch, position: RunPosition) -> StepResult:
        """Computes the loss on one batch of uint8 views."""
        from timm.loss import LabelSmoothingCrossEntropy, SoftTargetCrossEntropy

        _seed_from_torch()
        images, labels = self.taught(batch)
        even = len(labels) - len(labels) % 2  # images are mixed in pairs
        images, labels = images[:even], labels[:even]
        if too_few(labels):
            return StepResult(nothing_learned(self.classifier), {})
        share = len(labels) / len(batch)
        if self._erase is not None:
            self._erase.device = images.device
            images = self._erase(images)
        if self._mix is None:
            smoothed = LabelSmoothingCrossEntropy(self.config.label_smoothing)
            loss = smoothed(self.classifier(images).float(), labels)
        else:
            images, targets = self._mix(images, labels)
            loss = SoftTargetCrossEntropy()(self.classifier(images).float(), targets)
        return StepResult(loss * share, {})

    def scores(self, images: Tensor) -> dict[str, Tensor]:
        """Computes logits [B, 1, C], in a dict with the key ``HEAD``."""
        return {HEAD: self.classifier(images)[:, None]}

    def parameter_groups(self) -> Groups:
        """Makes one or two groups per layer, so that each layer has its own learning rate.

        The learning rate of block i of n is the head's rate times layer_decay^(n + 1 − i). The
        layers before the first block count as block 0. As published, biases, norms, [cls],
        registers and position embeddings have no weight decay.
        """
        vit = self.classifier.backbone.timm_model
        spared = vit.no_weight_decay()
        members: dict[tuple[int, bool], list[nn.Parameter]] = defaultdict(list)
        for name, parameter in vit.named_parameters():
            if parameter.requires_grad:
                is_decayed = parameter.ndim > 1 and name not in spared
                members[_layer(name), is_decayed].append(parameter)
        top = len(vit.blocks) + 1
        groups = [
            _group(params, is_decayed, self.config.layer_decay ** (top - layer))
            for (layer, is_decayed), params in sorted(members.items(), key=itemgetter(0))
        ]
        head = [*self.classifier.norm.parameters(), *self.classifier.linear.parameters()]
        groups.append(_group([p for p in head if p.ndim > 1], True, 1.0))
        groups.append(_group([p for p in head if p.ndim == 1], False, 1.0))
        return groups

    @property
    def trainable(self) -> nn.Module:
        """Backbone and head."""
        return self.classifier


def check_tunable(backbone: nn.Module, model: str) -> None:
    """Raises an error if the backbone cannot be fine-tuned.

    Raises:
        PoiseError: the backbone is a residual network, or has a register that was added after
            training.
    """
    if isinstance(backbone, AddedRegister):
        raise PoiseError(
            f"{model}: has a register that was added without training, which training would "
            "change; fine-tune the package that it was added to"
        )
    if not isinstance(backbone, VitBackbone | RelativeBackbone):
        raise PoiseError(
            f"{model}: is a residual network, and finetune/mae-v1 is a recipe for transformers; "
            "probe it with poise evaluate linear"
        )


def _layer(name: str) -> int:
    """Returns the layer of a transformer's parameter: 0 before the first block, then 1 to n."""
    found = re.match(r"blocks\.(\d+)\.", name)
    return int(found[1]) + 1 if found else 0


def _group(params: list[nn.Parameter], is_decayed: bool, lr_scale: float) -> dict[str, Any]:
    group = {"params": params, "is_decayed": is_decayed, "lr_scale": lr_scale}
    return group if is_decayed else {**group, "weight_decay": 0.0}


def _set_drop_path(backbone: nn.Module, rate: float) -> None:
    """Sets new rates of stochastic depth.

    The rates rise linearly from 0 at the first block to ``rate`` at the last block.
    """
    from timm.layers import DropPath

    blocks: Any = backbone.timm_model.blocks  # type: ignore[union-attr]
    rates = torch.linspace(0, rate, len(blocks)).tolist()
    for block, own_rate in zip(blocks, rates, strict=True):
        for name in ("drop_path1", "drop_path2"):
            setattr(block, name, DropPath(own_rate) if own_rate else nn.Identity())


def _build_mixing(config: FinetuneConfig, num_classes: int) -> Any:
    """Makes timm's mixup and cutmix; returns None if both are off."""
    from timm.data import Mixup

    if not (config.mixup or config.cutmix):
        return None
    return Mixup(
        config.mixup,
        config.cutmix,
        label_smoothing=config.label_smoothing,
        num_classes=num_classes,
    )


def _build_erasing(config: FinetuneConfig) -> Any:
    from timm.data.random_erasing import RandomErasing

    if not config.erase_probability:
        return None
    return RandomErasing(config.erase_probability, mode="pixel")


def _seed_from_torch() -> None:
    """Seeds Python's and NumPy's generators from torch's generator, because timm uses both.

    Training seeds torch's generator for each step.
    """
    seed = int(torch.randint(2**31, ()))
    random.seed(seed)
    np.random.seed(seed)
