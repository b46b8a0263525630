"""Names of all logged metrics. No other place lists them.

In: nothing. Out: names in groups, one group for each kind of run, and for each metric whether high
or low values are better. Next: ``poise.config.objectives``, whose ``Signals.metrics`` returns the
metrics that a run logs. The functions of ``poise.diagnostics`` explain each metric.

Two families of names are not listed. Names that begin with ``schedule/`` are settings. Points of
curves (``features/spectrum_…`` and ``eval/attention/…``) are not listed, because their number
depends on the backbone.
"""

from collections.abc import Mapping
from typing import Literal

LABELLED = ("eval/knn_top1", "eval/knn_top5", "eval/linear_top1")
"""Evaluation metrics that need a labelled dataset of queries in the recipe."""

LABEL_FREE = ("eval/rankme", "eval/lidar")
"""Evaluation metrics that need no labels."""

ATTENTION = ("eval/cls_pos_entropy_over_ln_n", "eval/cls_cls_attention")
"""Evaluation metrics of transformers with a [cls] token."""

DENSE = ("eval/dense_miou",)
"""Evaluation metrics of transformers. The datasets of the bank and the queries must have masks."""

FORGETTING = ("eval/knn_forgotten", "eval/knn_learned", "eval/knn_queries")
"""Evaluation metrics of runs that start from a trained model and have labelled queries."""

EVALUATION = LABELLED + LABEL_FREE + ATTENTION + DENSE
"""Evaluation metrics that do not depend on whether the run started from a trained model."""

TRAINING = (
    "loss/total",
    "gradient/norm",
    "throughput/images_per_s",
    "throughput/s_per_step",
    "throughput/train_images_per_s",
    "throughput/data_wait_share",
    "throughput/workers",
)
"""Metrics that every run logs."""

STAGES = (
    "throughput/read_images_per_s",
    "throughput/cut_images_per_s",
    "throughput/read_wait_share",
)
"""Metrics of the stages before training (reading and cutting images), if these are timed."""

PARTS = ("gradient/norm_backbone", "gradient/norm_head")
"""Metrics of runs in which backbone and head are trained together."""

VIEWS = ("views/largest_value",)
"""Metrics of the pixel values of normalised views."""

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
"""Metrics of runs that compare features of several images."""

AGREEMENT = ("features/alignment", "features/lidar")
"""Metrics of runs with several views of each image."""

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
"""Metrics of transformers, which have patches. The names with ``cls`` need a [cls] token."""

COST = ("throughput/backbone_gflops",)
"""Metrics of the computing cost of transformers."""

REGISTERS = ("tokens/register_norm",)
"""Metrics of transformers with registers."""

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
"""Metrics of runs whose teacher predicts a distribution over prototypes."""

OVER_LN_K = {
    "teacher/entropy": "teacher/entropy_over_ln_k",
    "teacher/kl": "teacher/kl_over_ln_k",
    "teacher/marginal_entropy": "teacher/marginal_entropy_over_ln_k",
    "teacher/mutual_information": "teacher/mutual_information_over_ln_k",
}
"""Maps each metric in nats to the name of the same metric divided by ln K. Only metrics divided by
ln K can be compared between runs with different K.
"""

GLOBAL_PAIRS = ("teacher/cross_entropy_global", "teacher/kl_global")
"""Metrics of pairs of global views, in runs with a teacher over prototypes."""

LOCAL_PAIRS = ("teacher/cross_entropy_local", "teacher/kl_local", "student/entropy_local")
"""Metrics of pairs with a local view, in runs with a teacher over prototypes."""

RECONSTRUCTION = (
    "loss/over_mean_patch",
    "loss/over_flat_patch",
    "prediction/std",
    "prediction/std_over_target",
)
"""Metrics of runs that predict pixels."""

METRICS = frozenset(
    EVALUATION + FORGETTING + TRAINING + STAGES + VIEWS + COST + PARTS + FEATURES + AGREEMENT
    + PATCHES + REGISTERS + TEACHER + GLOBAL_PAIRS + LOCAL_PAIRS + RECONSTRUCTION
)  # fmt: skip
"""Names of all metrics that runs log."""

Mode = Literal["max", "min"]

HIGHER_IS_BETTER = (
    *LABELLED,
    *LABEL_FREE,
    *DENSE,
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
    *COST,
)


def better(metric: str) -> Mode | None:
    """Returns ``max`` if high values of a metric are better, ``min`` if low ones are, else None.

    Entropies, norms and similarities have their healthy values in the middle, so neither end is
    better. For example, the teacher's entropy is 0 in one kind of collapse and ln K in the other.
    """
    if metric in HIGHER_IS_BETTER:
        return "max"
    return "min" if metric in LOWER_IS_BETTER else None


def group_before_training(starts_trained: bool) -> str:
    """Returns the group of the metrics before training: ``untrained`` or ``start``.

    Args:
        starts_trained: whether the run starts from the weights of a trained model.
    """
    return "start" if starts_trained else "untrained"


def before_training(metrics: Mapping[str, float], metric: str) -> tuple[str, float] | None:
    """Returns the group and the value of a metric before training; None if it was not measured.

    Args:
        metrics: all metrics of one run.
        metric: name, such as ``eval/knn_top1``. Only the group ``eval`` is measured before
            training.
    """
    group, _, name = metric.partition("/")
    for before in map(group_before_training, (True, False)):
        if group == "eval" and f"{before}/{name}" in metrics:
            return before, metrics[f"{before}/{name}"]
    return None
