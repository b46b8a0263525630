"""MAE: masked autoencoding (arXiv 2111.06377).

Shapes: B images on this worker, N patches of which M are hidden, C = 3·p² numbers per patch.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.config.objectives import MaeConfig
from poise.config.recipe import Recipe
from poise.data.batch import ViewBatch
from poise.data.draws_on_device import uniforms_on_device
from poise.data.views.color_augmentation import Photometry
from poise.models.backbone import VitBackbone, build_backbone
from poise.models.drop_path import PathAddress, drawn_paths
from poise.models.last_tokens import OBSERVED_IMAGES
from poise.models.mae import MaskedAutoencoder, patchify, take, unpatchify
from poise.objectives.base import Objective, Observation, RunPosition, StepResult

_MASK_ADDRESS = -4  # address of these random numbers; views, orders and splits have others
_EPSILON = 1e-6  # added to a patch's variance, as published
_SMALLEST_PICTURE_PX = 96


class Mae(Objective):
    """Masked autoencoder: it encodes some patches of an image and predicts the hidden patches.

    Seed, epoch and sample id alone decide which patches are hidden. After pretraining, the backbone
    encodes whole images.
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

    def step(self, batch: ViewBatch, position: RunPosition) -> StepResult:
        """Computes the loss on one micro-batch of uint8 views."""
        images = self.photometry(batch.global_views, batch.global_photometry)[0]
        paths = PathAddress(self.seed, position.epoch, batch.sample_ids)
        with drawn_paths(self.backbone, paths):
            return self.reconstruct(images, self.draw_noise(batch, position.epoch))

    def draw_noise(self, batch: ViewBatch, epoch: int) -> Tensor:
        """Draws random numbers [B, N] from 0 to 1.

        The patches with the largest numbers are hidden.
        """
        return uniforms_on_device(
            self.seed, epoch, batch.sample_ids, _MASK_ADDRESS, self.num_patches
        )

    def reconstruct(self, images: Tensor, noise: Tensor) -> StepResult:
        """Computes the loss on normalised images.

        The encoder gets the patches with the smallest noise.

        Args:
            images: normalised, [B, 3, H, W].
            noise: random number of every patch, [B, N].
        """
        order = noise.argsort(dim=1)
        patches = take(patchify(images, self.autoencoder.backbone.patch_px), order)
        targets = self.targets(patches[:, self.num_visible :])
        predictions, latent = self.autoencoder(patches, order, self.num_visible)
        predictions = predictions.float()
        self._latest = {
            "images": images[:OBSERVED_IMAGES].clone(),  # a slice would keep all images alive
            "features": self.backbone.feature(latent.detach())[None],
            "targets": targets.flatten(0, 1),
            "predictions": predictions.detach().flatten(0, 1),
        }
        return StepResult(F.mse_loss(predictions, targets), {})

    def targets(self, patches: Tensor) -> Tensor:
        """Returns the pixels of patches [B, n, C], the targets of the prediction.

        If ``norm_pix_loss`` is set, the pixels of each patch are normalised.
        """
        if not self.config.norm_pix_loss:
            return patches
        mean, std = _mean_and_std(patches)
        return (patches - mean) / std

    def observe(self) -> Observation:
        """Returns tensors of the latest micro-batch. The features use visible patches only."""
        return Observation(
            views=self._latest["images"],
            features=self._latest["features"].float(),
            targets=self._latest["targets"],
            predictions=self._latest["predictions"],
        )

    @torch.no_grad()
    def pictures(self, batch: ViewBatch) -> dict[str, Tensor]:
        """Draws one picture with a column per image.

        The rows are the image, the visible patches, the prediction, and the visible patches
        together with the predicted hidden patches. The mask is the mask of epoch 0. If the model
        predicts normalised pixels, the true mean and standard deviation of each patch are used.
        """
        autoencoder, was_training = self.autoencoder, self.autoencoder.training
        autoencoder.eval()
        images = self.photometry(batch.global_views, batch.global_photometry)[0]
        order = self.draw_noise(batch, epoch=0).argsort(dim=1)
        patches = take(patchify(images, self.backbone.patch_px), order)
        seen = order[:, : self.num_visible]
        latent = autoencoder.encode(patches[:, : self.num_visible], seen)
        predicted = autoencoder.decoder(latent, order, everywhere=True).float()
        autoencoder.train(was_training)
        if self.config.norm_pix_loss:
            mean, std = _mean_and_std(patches)
            predicted = predicted * std + mean
        merged = torch.cat([patches[:, : self.num_visible], predicted[:, self.num_visible :]], 1)
        visible = torch.zeros_like(patches)  # 0 is the mean colour of all images
        visible[:, : self.num_visible] = patches[:, : self.num_visible]
        return {"reconstruction": self._grid(order, patches, visible, predicted, merged)}

    def _grid(self, order: Tensor, *rows: Tensor) -> Tensor:
        """Arranges patches as one picture with several rows of images.

        Args:
            order: order of the patches, [B, N].
            rows: patches [B, N, C] in this order, one tensor for each row of the picture.
        """
        patch_px, in_place = self.backbone.patch_px, order.argsort(dim=1)
        images = [unpatchify(take(row, in_place), patch_px, self.autoencoder.grid) for row in rows]
        colors = self.photometry.colors(torch.stack(images))  # [rows, B, 3, H, W]
        grid = colors.permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)
        times = max(1, _SMALLEST_PICTURE_PX // images[0].shape[-1])
        return grid.repeat_interleave(times, 1).repeat_interleave(times, 2)

    def compile_backbones(self) -> None:
        """Compiles encoder and decoder as one module."""
        self.autoencoder.compile()

    def schedules(self, position: RunPosition) -> dict[str, float]:
        """Returns an empty dict. Only learning rate and weight decay have schedules here."""
        return {}

    @property
    def trainable(self) -> nn.Module:
        """Masked autoencoder, with encoder and decoder."""
        return self.autoencoder

    @property
    def backbone(self) -> VitBackbone:
        """Vision transformer of the encoder."""
        return self.autoencoder.backbone


def _mean_and_std(patches: Tensor) -> tuple[Tensor, Tensor]:
    """Computes each patch's mean and standard deviation [..., 1], from the unbiased variance."""
    variance, mean = torch.var_mean(patches, dim=-1, keepdim=True)
    return mean, (variance + _EPSILON).sqrt()
