"""MAE's published training step, transcribed from its description, in plain eager PyTorch.

The yardstick of ``bench_mae_step``. Every patch is embedded before most are dropped, masks are
gathers over expanded indices, tokens are put back in place, every token goes through every decoder
block and is predicted, and the loss weighs all patches by the mask. Parameters have the published
names, so that one state fits both sides.
"""

from typing import Any

import torch
from torch import Tensor, nn

from tests.benchmarks.published_dino_step import Block

_EPSILON = 1e-6


class PublishedMae(nn.Module):
    """Encoder, decoder and loss."""

    def __init__(
        self,
        image_px: int,
        patch_px: int,
        encoder: tuple[int, int, int],
        decoder: tuple[int, int, int],
        mask_ratio: float,
    ):
        super().__init__()
        self.patch_px, self.mask_ratio = patch_px, mask_ratio
        num_patches = (image_px // patch_px) ** 2
        dim, depth, heads = encoder
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, dim, patch_px, patch_px)})
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + num_patches, dim), requires_grad=False)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=_EPSILON)
        narrow, decoder_depth, decoder_heads = decoder
        self.decoder_embed = nn.Linear(dim, narrow)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, narrow))
        self.decoder_pos_embed = nn.Parameter(
            torch.zeros(1, 1 + num_patches, narrow), requires_grad=False
        )
        self.decoder_blocks = nn.ModuleList(
            Block(narrow, decoder_heads) for _ in range(decoder_depth)
        )
        self.decoder_norm = nn.LayerNorm(narrow, eps=_EPSILON)
        self.decoder_pred = nn.Linear(narrow, 3 * patch_px**2)

    def forward(self, images: Tensor, noise: Tensor) -> Tensor:
        x = self.patch_embed["proj"](images).flatten(2).transpose(1, 2) + self.pos_embed[:, 1:]
        x, mask, restore = self._hide(x, noise)
        cls_token = (self.cls_token + self.pos_embed[:, :1]).expand(len(x), -1, -1)
        x = torch.cat([cls_token, x], dim=1)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return self._loss(images, self._decode(x, restore), mask)

    def _hide(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        batch, length, dim = x.shape
        num_kept = int(length * (1 - self.mask_ratio))
        shuffle = noise.argsort(dim=1)
        restore = shuffle.argsort(dim=1)
        kept = shuffle[:, :num_kept]
        visible = torch.gather(x, 1, kept[:, :, None].repeat(1, 1, dim))
        mask = torch.ones(batch, length, device=x.device)
        mask[:, :num_kept] = 0
        return visible, torch.gather(mask, 1, restore), restore

    def _decode(self, x: Tensor, restore: Tensor) -> Tensor:
        x = self.decoder_embed(x)
        hidden = self.mask_token.repeat(len(x), restore.shape[1] + 1 - x.shape[1], 1)
        patches = torch.cat([x[:, 1:], hidden], dim=1)
        patches = torch.gather(patches, 1, restore[:, :, None].repeat(1, 1, x.shape[2]))
        x = torch.cat([x[:, :1], patches], dim=1) + self.decoder_pos_embed
        for block in self.decoder_blocks:
            x = block(x)
        predicted: Tensor = self.decoder_pred(self.decoder_norm(x))
        return predicted[:, 1:]

    def _loss(self, images: Tensor, predicted: Tensor, mask: Tensor) -> Tensor:
        p, side = self.patch_px, images.shape[2] // self.patch_px
        target = images.reshape(len(images), 3, side, p, side, p)
        target = target.permute(0, 2, 4, 3, 5, 1).reshape(len(images), side**2, -1)
        mean, variance = target.mean(-1, keepdim=True), target.var(-1, keepdim=True)
        target = (target - mean) / (variance + _EPSILON) ** 0.5
        per_patch = ((predicted - target) ** 2).mean(dim=-1)
        loss: Tensor = (per_patch * mask).sum() / mask.sum()
        return loss


class PublishedStep:
    """Forward, backward, the gradient's norm and AdamW, as published."""

    def __init__(self, model: PublishedMae, weight_decay: float):
        self.model = model
        self.trained = [p for p in model.parameters() if p.requires_grad]
        decayed = [p for p in self.trained if p.ndim > 1]
        spared = [p for p in self.trained if p.ndim == 1]
        groups: list[dict[str, Any]] = [
            {"params": spared, "weight_decay": 0.0},
            {"params": decayed},
        ]
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), weight_decay=weight_decay)

    def __call__(
        self, images: Tensor, noise: Tensor, lr: float, autocast_to: torch.dtype | None
    ) -> Tensor:
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        with torch.autocast(images.device.type, autocast_to, enabled=autocast_to is not None):
            loss: Tensor = self.model(images, noise)
        self.optimizer.zero_grad()
        loss.backward()
        torch.norm(torch.stack([torch.norm(p.grad) for p in self.trained if p.grad is not None]))
        self.optimizer.step()
        return loss.detach()
