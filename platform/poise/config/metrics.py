"""The names of what runs log: the one place that lists them.

In: nothing. Out: names, grouped by what a run must have to log them, and which end of each is
better. Next: ``poise.config.objectives``, whose ``Signals.metrics`` says which of them a run logs.
The functions of ``poise.diagnostics`` say what each one means.

Two families are not listed: ``schedule/…``, which are settings, and the points of curves, whose
number depends on the backbone: ``features/spectrum_…`` and ``eval/attention/…``.
"""

from collections.abc import Mapping
from typing import Literal

LABELLED = ("eval/knn_top1", "eval/knn_top5", "eval/linear_top1")
"""Logged at evaluations where the recipe names labelled queries."""

LABEL_FREE = ("eval/rankme", "eval/lidar")
"""Logged at evaluations, with or without labels."""

ATTENTION = ("eval/cls_pos_entropy_over_ln_n", "eval/cls_cls_attention")
"""Logged at evaluations of transformers with a [cls] token."""

FORGETTING = ("eval/knn_forgotten", "eval/knn_learned", "eval/knn_queries")
"""Logged at evaluations with labelled queries, by runs that start from a trained model."""

EVALUATION = LABELLED + LABEL_FREE + ATTENTION
"""All metrics that are logged at evaluations of every run that can be measured so."""

TRAINING = (
    "loss/total",
    "gradient/norm",
    "throughput/images_per_s",
    "throughput/s_per_step",
    "throughput/data_wait_share",
)
"""Logged by every run."""

PARTS = ("gradient/norm_backbone", "gradient/norm_head")
"""Logged where backbone and head learn together."""

VIEWS = ("views/largest_value",)
"""Statistics of the normalised views."""

FEATURES = (
    "features/std",
    "features/rankme",
    "features/alpha_req",
    "features/participation_ratio",
    "features/nesum",
    "features/stable_rank",
    "features/condition",
    "features/coherence",
    "features/self_clustering",
    "features/cosine_mean",
    "features/cosine_max",
    "features/uniformity",
    "features/nn_distance",
)
"""Logged where features of several images are compared."""

AGREEMENT = ("features/alignment", "features/lidar")
"""Logged where each image has several views with features."""

PATCHES = (
    "patches/cosine",
    "patches/cls_cosine",
    "patches/norm_q50",
    "patches/norm_q90",
    "patches/norm_q99",
    "patches/norm_max",
    "patches/norm_bimodality",
    "patches/outlier_share",
    "tokens/cls_norm",
)
"""Logged for transformers: residual networks have no patches. Those of [cls] need that token."""

REGISTERS = ("tokens/register_norm",)
"""Logged for transformers with registers."""

TEACHER = (
    "loss/over_ln_k",
    "teacher/entropy",
    "teacher/entropy_over_ln_k",
    "teacher/kl",
    "teacher/kl_over_ln_k",
    "teacher/cross_entropy",
    "teacher/marginal_entropy",
    "teacher/marginal_entropy_over_ln_k",
    "teacher/mutual_information",
    "teacher/mutual_information_over_ln_k",
    "teacher/ema_gap",
    "teacher/update_size",
    "student/entropy_global",
    "center/norm",
    "prototypes/used_share",
    "prototypes/perplexity",
    "prototypes/dead_share",
    "prototypes/duplicate_share",
)
"""Logged where a teacher spreads images over prototypes."""

GLOBAL_PAIRS = ("teacher/cross_entropy_global", "teacher/kl_global")
"""Logged where such a teacher compares global views with each other."""

LOCAL_PAIRS = ("teacher/cross_entropy_local", "teacher/kl_local", "student/entropy_local")
"""Logged where the student of such a teacher sees local views."""

RECONSTRUCTION = (
    "loss/over_mean_patch",
    "loss/over_flat_patch",
    "prediction/std",
    "prediction/std_over_target",
)
"""Logged where pixels are predicted."""

METRICS = frozenset(
    EVALUATION + TRAINING + PARTS + FEATURES + AGREEMENT + PATCHES + REGISTERS + TEACHER
    + GLOBAL_PAIRS + LOCAL_PAIRS + RECONSTRUCTION
)  # fmt: skip
"""Every name of this module."""

Mode = Literal["max", "min"]

HIGHER_IS_BETTER = (
    *LABELLED,
    *LABEL_FREE,
    "features/rankme",
    "features/lidar",
    "teacher/mutual_information",
    "teacher/mutual_information_over_ln_k",
    "prototypes/used_share",
    "prototypes/perplexity",
    "throughput/images_per_s",
)

LOWER_IS_BETTER = (
    "loss/total",
    "loss/over_ln_k",
    "loss/over_mean_patch",
    "loss/over_flat_patch",
    "patches/outlier_share",
    "prototypes/dead_share",
    "prototypes/duplicate_share",
    "throughput/s_per_step",
    "throughput/data_wait_share",
)


def better(metric: str) -> Mode | None:
    """Returns which values of a metric are better, ``max`` or ``min``; none where neither is.

    An entropy, a norm or a similarity is healthy in between: the teacher's entropy is 0 in one
    collapse and ln K in the other.
    """
    if metric in HIGHER_IS_BETTER:
        return "max"
    return "min" if metric in LOWER_IS_BETTER else None


def group_before_training(starts_trained: bool) -> str:
    """Returns the group under which the first evaluation is logged: ``untrained`` or ``start``.

    Args:
        starts_trained: whether the run starts from the weights of a trained model.
    """
    return "start" if starts_trained else "untrained"


def before_training(metrics: Mapping[str, float], metric: str) -> tuple[str, float] | None:
    """Returns the group and the value of an evaluation's metric before training.

    Args:
        metrics: the metrics of one run.
        metric: such as ``eval/knn_top1``. Other groups are not measured before training.
    """
    group, _, name = metric.partition("/")
    for before in map(group_before_training, (True, False)):
        if group == "eval" and f"{before}/{name}" in metrics:
            return before, metrics[f"{before}/{name}"]
    return None
