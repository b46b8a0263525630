"""Masked autoencoding (arXiv 2111.06377).

Shapes: B images on this worker, N patches of which M are hidden, C = 3·p² numbers a patch.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.config.objectives import MaeConfig
from poise.config.recipe import Recipe
from poise.data.batch import ViewBatch
from poise.data.draws import uniforms_on_device
from poise.data.photometry import Photometry
from poise.models.backbone import VitBackbone, build_backbone
from poise.models.mae import MaskedAutoencoder, patchify, take
from poise.objectives.base import Objective, Observation, Progress, StepResult

_MASK_ADDRESS = -3  # of the draws; views have addresses from 0 up, the plan's orders -1 and -2
_EPSILON = 1e-6  # of a patch's variance, as published


class Mae(Objective):
    """An encoder that sees a quarter of an image, and a decoder that paints the rest.

    What is hidden is a function of (seed, epoch, sample id). It is thrown away after pretraining:
    the backbone sees whole images.
    """

    def __init__(self, recipe: Recipe, photometry: Photometry):
        super().__init__()
        assert isinstance(recipe.objective, MaeConfig)
        self.config = recipe.objective
        self.photometry = photometry
        self.seed = recipe.seed
        backbone = build_backbone(recipe.backbone, recipe.data.views.global_px)
        if not isinstance(backbone, VitBackbone):
            raise PoiseError(
                f"backbone.name={recipe.backbone.name}: has no patches that objective mae could "
                "hide; choose a vision transformer"
            )
        self.autoencoder = MaskedAutoencoder(backbone, self.config)
        rows, columns = self.autoencoder.grid
        self.num_patches = rows * columns
        self.num_visible = int(self.num_patches * (1 - self.config.mask_ratio))  # as published
        if not 0 < self.num_visible < self.num_patches:
            raise PoiseError(
                f"objective.mask_ratio={self.config.mask_ratio}: shows {self.num_visible} of the "
                f"{self.num_patches} patches of an image; some must be shown and some hidden"
            )
        self._latest: dict[str, Tensor] = {}

    def step(self, batch: ViewBatch, progress: Progress) -> StepResult:
        """The loss on one batch of uint8 views."""
        images = self.photometry(batch.global_views, batch.global_photometry)[0]
        noise = uniforms_on_device(
            self.seed, progress.epoch, batch.sample_ids, _MASK_ADDRESS, self.num_patches
        )
        return self.reconstruct(images, noise)

    def reconstruct(self, images: Tensor, noise: Tensor) -> StepResult:
        """The loss on normalised images [B, 3, H, W]; the smallest of noise [B, N] are seen."""
        order = noise.argsort(dim=1)
        patches = take(patchify(images, self.autoencoder.backbone.patch_px), order)
        targets = self.targets(patches[:, self.num_visible :])
        predictions, latent = self.autoencoder(patches, order, self.num_visible)
        predictions = predictions.float()
        self._latest = {
            "features": self.backbone.feature(latent.detach()),
            "targets": targets.flatten(0, 1),
            "predictions": predictions.detach().flatten(0, 1),
        }
        return StepResult(F.mse_loss(predictions, targets), {})

    def targets(self, patches: Tensor) -> Tensor:
        """What is to be predicted of patches [B, n, C]."""
        if not self.config.norm_pix_loss:
            return patches
        variance, mean = torch.var_mean(patches, dim=2, keepdim=True)
        return (patches - mean) / (variance + _EPSILON).sqrt()

    def observe(self) -> Observation:
        """The latest step, for diagnostics."""
        return Observation(
            features=self._latest["features"].float(),
            targets=self._latest["targets"],
            predictions=self._latest["predictions"],
        )

    def compile_backbones(self) -> None:
        """Compiles encoder and decoder as one."""
        self.autoencoder.compile()

    def schedules(self, progress: Progress) -> dict[str, float]:
        """None of its own."""
        return {}

    @property
    def trainable(self) -> nn.Module:
        """Encoder and decoder."""
        return self.autoencoder

    @property
    def backbone(self) -> VitBackbone:
        """The encoder."""
        return self.autoencoder.backbone
