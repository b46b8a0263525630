"""DINO: self-distillation with no labels (arXiv 2104.14294).

Shapes: B images on this worker, G global and L local views, V = G + L, K prototypes, D features.
"""

import copy
import math

import torch
from torch import Tensor, nn

from poise.cluster.collectives import sum_over_workers
from poise.cluster.sharded_tensors import parts_here
from poise.config.objectives import DinoConfig
from poise.config.recipe import Recipe
from poise.data.batch import ViewBatch
from poise.data.views.color_augmentation import Photometry
from poise.models.backbone import build_backbone
from poise.models.drop_path import PathAddress, drawn_paths
from poise.models.heads.dino import DinoHead
from poise.models.initial_weights import take_over
from poise.models.last_tokens import OBSERVED_IMAGES
from poise.objectives.base import Objective, Observation, RunPosition, StepResult
from poise.objectives.loss import dino_loss
from poise.objectives.schedules import cosine, linear_then_constant


class Encoder(nn.Module):
    """Backbone with projection head. One call accepts views of several sizes."""

    def __init__(self, backbone: nn.Module, head: DinoHead):
        super().__init__()
        self.backbone = backbone
        self.head = head

    def features(self, *view_groups: Tensor, paths: PathAddress | None = None) -> Tensor:
        """Computes features [Σ views, B, D] of groups [views, B, 3, h, w].

        The backbone runs once per group.

        Args:
            view_groups: views, grouped by size; all views in a group have the same size.
            paths: seed, epoch and image ids, which decide the dropped branches (stochastic depth);
                None draws them from torch's generator.
        """
        batch, passed, first = view_groups[0].shape[1], [], 0
        for group in view_groups:
            views, first = range(first, first + len(group)), first + len(group)
            if views:
                with drawn_paths(self.backbone, paths, views):
                    passed.append(self.backbone(group.flatten(0, 1)))
        features: Tensor = torch.cat(passed).unflatten(0, (-1, batch))
        return features

    def forward(self, *view_groups: Tensor, paths: PathAddress | None = None) -> Tensor:
        """Computes logits [Σ views, B, K]. The head runs once for all views."""
        features = self.features(*view_groups, paths=paths)
        logits: Tensor = self.head(features.flatten(0, 1)).unflatten(0, features.shape[:2])
        return logits


class Dino(Objective):
    """Self-distillation: the student predicts the teacher's output for another view of the image.

    The teacher is the student's exponential moving average. Two operations prevent trivial
    solutions. Centering subtracts the teacher's mean logits. Sharpening (a low ``teacher_temp``)
    lowers the entropy of the teacher's output. With only one of the two, training collapses.
    """

    shares_batch_statistics = True  # as published, in student and teacher
    center: Tensor

    def __init__(self, recipe: Recipe, photometry: Photometry):
        super().__init__()
        assert isinstance(recipe.objective, DinoConfig)
        self.config = recipe.objective
        self.photometry, self.seed = photometry, recipe.seed
        image_px = recipe.data.views.global_px
        backbone = build_backbone(recipe.backbone, image_px)
        head = DinoHead(backbone.feature_dim, self.config.num_prototypes, self.config.head)
        self.student = Encoder(backbone, head)
        self.teacher = Encoder(
            build_backbone(recipe.backbone, image_px, drop_path=0), copy.deepcopy(head)
        )
        self.teacher.load_state_dict(self.student.state_dict())
        self.teacher.requires_grad_(False)
        self.register_buffer("center", torch.zeros(self.config.num_prototypes))
        self._latest: dict[str, Tensor] = {}
        self._logit_sum: Tensor | None = None  # [K + 1] of this batch: logits, and number of rows

    def begin_with(self, backbone: nn.Module) -> None:
        """Copies the weights of a trained backbone to student and teacher.

        The head keeps its weights.
        """
        take_over(backbone, self.student.backbone)
        self.teacher.load_state_dict(self.student.state_dict())

    def step(self, batch: ViewBatch, position: RunPosition) -> StepResult:
        """Computes the loss on one micro-batch of uint8 views."""
        return self.compare(
            self.photometry(batch.global_views, batch.global_photometry),
            self.photometry(batch.local_views, batch.local_photometry),
            position,
            PathAddress(self.seed, position.epoch, batch.sample_ids),
        )

    def compare(
        self,
        globals_: Tensor,
        locals_: Tensor,
        position: RunPosition,
        paths: PathAddress | None = None,
    ) -> StepResult:
        """Computes the loss on normalised views.

        Args:
            globals_: global views, [G, B, 3, H, W].
            locals_: local views, [L, B, 3, h, w].
            position: position of the run, for the teacher's temperature.
            paths: seed, epoch and image ids, which decide the branches that the student drops; None
                draws them from torch's generator.
        """
        self._latest = {}  # frees the last step's logits before new ones are made
        with torch.no_grad():
            features = self.teacher.features(globals_)  # [G, B, D]
            teacher_logits = self.teacher.head(features.flatten(0, 1)).float()  # [G·B, K]
            targets = ((teacher_logits - self.center) / self.teacher_temp(position)).softmax(dim=-1)
            targets = targets.unflatten(0, features.shape[:2])  # [G, B, K]
        student_logits = self.student(globals_, locals_, paths=paths)  # [V, B, K]
        loss = dino_loss(student_logits, targets, self.config.student_temp)
        self._latest = {
            "images": globals_[0, :OBSERVED_IMAGES].clone(),  # a slice would keep all views alive
            "features": features,
            "targets": targets,
            "student_logits": student_logits.detach(),
        }
        num_rows = teacher_logits.new_tensor([len(teacher_logits)])
        own = torch.cat([teacher_logits.sum(dim=0), num_rows])
        self._logit_sum = own if self._logit_sum is None else self._logit_sum + own
        over_ln_k = loss.detach() / math.log(self.config.num_prototypes)
        return StepResult(loss, {"loss/over_ln_k": over_ln_k})

    def observe(self) -> Observation:
        """Returns tensors of the latest micro-batch.

        The features are the teacher's, as in the loss.
        """
        return Observation(
            views=self._latest["images"],
            features=self._latest["features"].float(),
            teacher_probs=self._latest["targets"],
            student_logits=self._latest["student_logits"].float() / self.config.student_temp,
            prototypes=self.teacher.head.last_layer.weight_v,
            center=self.center,
        )

    def before_optimizer(self, position: RunPosition) -> None:
        """Freezes the prototypes in the first epochs.

        The gradient is set to None. With a gradient of zero, weight decay and Adam's moments would
        still change the prototypes.
        """
        frozen_steps = self.config.freeze_last_layer_epochs * position.steps_per_epoch
        if position.step < frozen_steps:
            for parameter in self.student.head.last_layer.parameters():
                parameter.grad = None

    @torch.no_grad()
    def after_step(self, position: RunPosition) -> None:
        """Moves the teacher towards the student, and the centre towards the teacher's mean logits.

        The mean is over all micro-batches of all workers.
        """
        momentum = self.teacher_momentum(position)
        torch._foreach_lerp_(
            parts_here(self.teacher.parameters()), parts_here(self.student.parameters()),
            1 - momentum,
        )  # fmt: skip
        assert self._logit_sum is not None, "no step came before"
        total, self._logit_sum = sum_over_workers(self._logit_sum), None
        self.center.lerp_(total[:-1] / total[-1], 1 - self.config.center_momentum)

    def schedules(self, position: RunPosition) -> dict[str, float]:
        """Returns the teacher's momentum and temperature."""
        return {
            "schedule/teacher_momentum": self.teacher_momentum(position),
            "schedule/teacher_temp": self.teacher_temp(position),
        }

    def teacher_momentum(self, position: RunPosition) -> float:
        """Returns the teacher's momentum at this step, from 0 to 1. Its schedule is a cosine."""
        config = self.config
        return cosine(
            position.step, position.total_steps, config.teacher_momentum,
            config.final_teacher_momentum,
        )  # fmt: skip

    def teacher_temp(self, position: RunPosition) -> float:
        """Returns the teacher's temperature.

        During warm-up it changes at the start of each epoch.
        """
        config = self.config
        return linear_then_constant(
            position.epoch, config.warmup_teacher_temp, config.teacher_temp,
            config.warmup_teacher_temp_epochs,
        )  # fmt: skip

    @property
    def trainable(self) -> nn.Module:
        """Student network."""
        return self.student

    @property
    def backbone(self) -> nn.Module:
        """Backbone of the teacher.

        Its features are better than the student's throughout training.
        """
        return self.teacher.backbone

    @property
    def reference(self) -> nn.Module:
        """Teacher network."""
        return self.teacher
