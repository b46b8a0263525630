"""Explains the terms and symbols that a report uses.

In: findings. Out: a list of terms, and sentences. Next: the page and
``poise.reports.study.markdown``.

A term is on the list if the report shows a verdict, a metric or a hyperparameter that needs it.
"""

from collections.abc import Container

from poise.diagnostics.judge import VerdictKind
from poise.diagnostics.judge.verdict import FEW_PROTOTYPES
from poise.studies.findings.findings import Findings

MORE_IN = "docs/diagnostics.md"
"""Page that explains all metrics and verdicts."""

COUNTED_ARE = "A trial that ends without a clear verdict is left out of both numbers."
"""Explanation of counts such as ``2 of 3``. Undecided trials are not counted, for example."""

_CENTERING_KEYS = ("objective.center_momentum",)
_SHARPENING_KEYS = ("objective.teacher_temp", "objective.student_temp")
_TEACHER_KEYS = ("objective.teacher_momentum", "objective.final_teacher_momentum")

_VERDICTS = {
    VerdictKind.UNIFORM: (
        "A uniform teacher gives every image nearly the same output. This output is nearer to "
        "equal probabilities than to a single prototype."
    ),
    VerdictKind.SINGLE_PROTOTYPE: (
        "In a collapse to a single prototype, the teacher uses very few prototypes, counted over "
        "all images. The same verdict is given if every image gets nearly the same output, and "
        "this output is nearer to a single prototype than to equal probabilities."
    ),
    VerdictKind.PARTIAL_PROTOTYPES: (
        "“Partial prototypes” means that the teacher uses only a few prototypes, counted over all "
        "images, but more than in a collapse to a single prototype."
    ),
    VerdictKind.DIMENSIONAL: (
        "“Dimensional” means that the features use far fewer directions than at the start."
    ),
    VerdictKind.PREDICTS_MEAN: (
        "“Predicts the mean” means that the decoder is no better than a prediction of the mean "
        "patch."
    ),
    VerdictKind.STUCK: (
        "“Stuck at ln K” means that the teacher distinguishes images, but the student does not "
        "follow the teacher."
    ),
    VerdictKind.SWINGING: (
        "“Swings above ln K” means that the student often predicts its teacher worse than a "
        "student that has learned nothing."
    ),
    VerdictKind.UNMOVED_TEACHER: (
        "“Teacher does not move” means that the teacher has almost kept its first weights."
    ),
    VerdictKind.COPIED_TEACHER: (
        "“Teacher is the student” means that both had the same weights at all logged steps."
    ),
    VerdictKind.FORGETTING: (
        "“Forgetting” means that training destroyed much of the k-NN accuracy of its start."
    ),
    VerdictKind.DIVERGED: (
        "“Diverged” means that a metric was not finite, or that the loss exploded."
    ),
}
"""Meaning of each verdict on a failed trial of a study."""

_ON_PROTOTYPES = (
    *FEW_PROTOTYPES,
    VerdictKind.UNIFORM,
    VerdictKind.STUCK,
    VerdictKind.SWINGING,
)
"""Verdicts whose evidence is about prototypes or about ln K."""

_IN_EVIDENCE = ("teacher/entropy", "teacher/mutual_information")
"""Metrics that the evidence of a verdict shows."""

_PROTOTYPE = "A prototype is one output of DINO's head. K is the number of prototypes."
_TEACHER = (
    "The student learns to predict the output of the teacher. The teacher's weights are a moving "
    "average of the student's weights."
)
_CENTERING = (
    "Centering subtracts the average of the teacher's outputs over recent batches from the "
    "teacher's output for each image, before the softmax. It works against a collapse to a single "
    "prototype."
)
_SHARPENING = (
    "Sharpening divides the teacher's output by a low temperature. It works against a uniform "
    "teacher."
)
_ENTROPY = (
    "The teacher's entropy is the entropy of its output for an image, averaged over images. It is "
    "ln K if all prototypes have the same probability. It is 0 if, for each image, one prototype "
    "has all of the probability."
)
_IN_USE = (
    "The effective number of prototypes says how many prototypes the teacher uses, counted over "
    "all images. First, the teacher's outputs are averaged over all images. H is the entropy of "
    "this average. The effective number is exp(H)."
)
_KL = (
    "KL(teacher‖student) says how far the student's output is from the teacher's output. It is 0 "
    "if both are equal."
)
_INFORMATION = (
    "Mutual information says how much the teacher's output depends on the image. It is 0 if all "
    "images get the same output."
)
_RANKME = "RankMe is the effective number of directions that the features use."
_LIDAR = (
    "LiDAR is the effective number of directions that distinguish images. A direction counts less "
    "if the features of the random crops of one image (its views) differ along this direction."
)


def terms(findings: Findings) -> tuple[str, ...]:
    """Explains each term of the report in one or two sentences. It is empty if there are none."""
    kinds, metrics = _kinds(findings), _metrics(findings)
    varied = {key for row in findings.comparison.rows for key in row.settings}
    few, uniform = not kinds.isdisjoint(FEW_PROTOTYPES), VerdictKind.UNIFORM in kinds
    informed = _has(metrics, "teacher/mutual_information")
    entropy = _has(metrics, "teacher/entropy")
    kl = _has(metrics, "teacher/kl") or VerdictKind.STUCK in kinds
    of_loss = "loss/over_ln_k" in metrics or not kinds.isdisjoint(_ON_PROTOTYPES)
    ranks = _has(metrics, "eval/rankme", "features/rankme") or VerdictKind.DIMENSIONAL in kinds
    shown = (
        (_PROTOTYPE, of_loss or informed or entropy or kl),
        (_TEACHER, any(key in varied for key in _TEACHER_KEYS)),
        (_CENTERING, few or any(key in varied for key in _CENTERING_KEYS)),
        (_SHARPENING, few or uniform or any(key in varied for key in _SHARPENING_KEYS)),
        *((words, kind in kinds) for kind, words in _VERDICTS.items()),
        (_ENTROPY, entropy),
        (_IN_USE, few),
        (_INFORMATION, informed),
        (_KL, kl),
        (_RANKME, ranks),
        (_LIDAR, _has(metrics, "eval/lidar", "features/lidar")),
    )
    return tuple(words for words, is_shown in shown if is_shown)


def _kinds(findings: Findings) -> set[VerdictKind]:
    """Returns the verdicts of the trials, and the verdicts that an evidence names.

    An evidence names another verdict in quotation marks, such as “collapsed: uniform”.
    """
    verdicts = [trial.record.verdict for trial in findings.trials if trial.record.verdict]
    return {
        kind
        for kind in VerdictKind
        if any(verdict.kind is kind or f"“{kind}”" in verdict.evidence for verdict in verdicts)
    }


def _metrics(findings: Findings) -> set[str]:
    """Returns the metrics that the report shows: in tables, in charts and in the evidence."""
    found, selection = findings.comparison, findings.selection
    return {
        *(curve.metric for setting in findings.settings for curve in setting.curves),
        *(curve.metric for trial in findings.trials for curve in trial.curves),
        *(name for trial in findings.trials for name in _IN_EVIDENCE if _has(trial.metrics, name)),
        *(found.metric, *(name for row in found.rows for name in row.others)),
        *(each.metric for each in (selection.selectors if selection else ())),
    }


def _has(metrics: Container[str], *names: str) -> bool:
    return any(name in metrics or f"{name}_over_ln_k" in metrics for name in names)
