"""The formula of each metric, for the page that ``pipelines/metric_pictures.py`` writes.

In: the docstrings of ``poise.diagnostics``. Out: one formula for each metric. Next: the page.
"""

import inspect
import re
from collections.abc import Callable

from poise.diagnostics import (
    parameters,
    patches,
    prototypes,
    reconstruction,
    spectrum,
    spread,
    view_agreement,
    views,
)
from poise.diagnostics import self_distillation as distillation

_EXPLAINED_BY: dict[str, Callable[..., object]] = {
    "gradient/norm_backbone": parameters.gradient_norms,
    "gradient/norm_head": parameters.gradient_norms,
    "views/largest_value": views.largest_value,
    "teacher/entropy": distillation.entropy,
    "teacher/cross_entropy": distillation.cross_entropies,
    "teacher/kl": distillation.kl_divergence,
    "teacher/marginal_entropy": distillation.marginal_entropy,
    "teacher/mutual_information": distillation.mutual_information,
    "teacher/ema_gap": parameters.ema_gap,
    "teacher/update_size": parameters.update_size,
    "student/entropy": distillation.entropies_of,
    "center/norm": distillation.center_norm,
    "prototypes/used_share": prototypes.used_share,
    "prototypes/perplexity": prototypes.perplexity,
    "prototypes/dead_share": prototypes.dead_share,
    "prototypes/duplicate_share": prototypes.duplicate_share,
    "features/rankme": spectrum.rankme,
    "features/alpha_req": spectrum.alpha_req,
    "features/participation_ratio": spectrum.participation_ratio,
    "features/nesum": spectrum.nesum,
    "features/stable_rank": spectrum.stable_rank,
    "features/condition": spectrum.condition,
    "features/coherence": spectrum.coherence,
    "features/spectrum_NNN": spectrum.spectrum,
    "features/std": spread.feature_std,
    "features/cosine_mean": spread.cosine_mean,
    "features/cosine_max": spread.cosine_max,
    "features/uniformity": spread.uniformity,
    "features/self_clustering": spread.self_clustering,
    "features/nn_distance": spread.nn_distance,
    "features/alignment": view_agreement.alignment,
    "features/lidar": view_agreement.lidar,
    "patches/cosine": patches.patch_cosine,
    "patches/cls_cosine": patches.class_cosine,
    "patches/norm_bimodality": patches.norm_bimodality,
    "patches/norm": patches.norm_quantiles,
    "patches/outlier_share": patches.outlier_share,
    "tokens/cls_norm": patches.mean_norm,
    "tokens/register_norm": patches.mean_norm,
    "loss/over_mean_patch": reconstruction.over_mean_patch,
    "loss/over_flat_patch": reconstruction.over_flat_patch,
    "prediction/std": reconstruction.prediction_std,
}
"""Metric → the function whose docstring has its formula. A longer name comes before its beginning.
"""

_SUFFIX = re.compile(r"_(over_ln_k|global|local|q50|q90|q99|max)$")
_ADDED = {
    "over_ln_k": "all divided by ln K",
    "global": "only of the student's global views",
    "local": "only of the student's local views",
    "q50": "at 50 %",
    "q90": "at 90 %",
    "q99": "at 99 %",
    "max": "at 100 %",
}

_VOTES = "Σ exp(cos(z_q, z_i) / 0.07) over those of the k nearest bank images i that have class c"
_WRITTEN = {
    "loss/total": "DINO: mean over pairs i ≠ v of −Σ_k P_t^i,k ln P_s^v,k; MAE: mean (ŷ − y)² over "
    "the numbers of hidden patches",
    "loss/over_ln_k": "loss / ln K",
    "gradient/norm": "‖g‖₂ = √(Σ g_i²), over all parameters",
    "throughput/images_per_s": "images of all workers / seconds, since the last logged step",
    "throughput/train_images_per_s": "images of all workers / (seconds − seconds spent waiting for "
    "images)",
    "throughput/read_images_per_s": "images of all workers / seconds spent reading them",
    "throughput/cut_images_per_s": "images of all workers / seconds spent cutting their views, "
    "over all processes that cut",
    "throughput/read_wait_share": "seconds that cutting waited for images / seconds",
    "throughput/workers": "number of workers that train",
    "throughput/s_per_step": "seconds / steps, since the last logged step",
    "throughput/data_wait_share": "seconds spent waiting for images / seconds",
    "throughput/backbone_gflops": "(2·N·W_embedding + Σ_blocks (2·T·W_block + 4·T²·D)) / 10⁹, for "
    "N patches, T tokens, W weights of linear layers and width D",
    "prediction/std_over_target": "√(Var ŷ / Var y), with variances over patches",
    "eval/knn_top1": f"100 · share of queries q whose class c has the most votes: {_VOTES}",
    "eval/knn_top5": "100 · share of queries whose class is among the five with the most votes of "
    "k-NN",
    "eval/linear_top1": "100 · share of queries whose class has the largest value of a ridge "
    "regression on the classes' indicators, from standardised features",
    "eval/dense_miou": "100 · mean over c of |A_c ∩ B_c| / |A_c ∪ B_c|, for c = object and "
    "background, A_c the patches that are c, and B_c the patches that are called c",
    "eval/rankme": "exp(−Σ p_i ln p_i), with p_i = σ_i / Σσ + 1e-7; σ of the features of "
    "whole images",
    "eval/lidar": "exp(−Σ p_i ln p_i), with p_i = λ_i / Σλ + 1e-7 and λ the eigenvalues of Σ_w^-½ "
    "Σ_b Σ_w^-½, for 256 images of 8 views",
    "eval/cls_pos_entropy_over_ln_n": "−Σ_j a_j ln a_j / ln N, with a_j the attention of [cls] to "
    "patch j, as a share of its attention to all N patches",
    "eval/cls_cls_attention": "attention of [cls] to itself, of 1 in total",
    "eval/attention/cls_pos_entropy_over_ln_n_NN": "the same for one block",
    "eval/attention/cls_cls_attention_NN": "the same for one block",
    "eval/knn_forgotten": "100 · |{q : right at the start and wrong now}| / queries",
    "eval/knn_learned": "100 · |{q : wrong at the start and right now}| / queries",
    "eval/knn_queries": "number of queries",
}
"""Formulas of metrics that are not of ``poise.diagnostics``."""

_FORMULA = re.compile(r"Formula: (.*?)\.?(?:\.\s+(?=[A-Z“])|\n\n|$)", re.DOTALL)


def formula_of(metric: str) -> str:
    """Returns a metric's formula in one line.

    Raises:
        KeyError: no docstring explains the metric, and no formula is written here.
    """
    if metric in _WRITTEN:
        return _WRITTEN[metric]
    if metric in _EXPLAINED_BY:
        return _from_docstring(_EXPLAINED_BY[metric])
    suffix = _SUFFIX.search(metric)
    if suffix is None:
        raise KeyError(metric)
    return f"{_from_docstring(_EXPLAINED_BY[metric[: suffix.start()]])}; {_ADDED[suffix[1]]}"


def _from_docstring(function: Callable[..., object]) -> str:
    found = _FORMULA.search(inspect.getdoc(function) or "")
    if found is None:
        raise KeyError(function.__name__)
    return " ".join(found[1].replace("``", "").replace("*", "").split())
