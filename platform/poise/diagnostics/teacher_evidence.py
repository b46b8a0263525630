"""The reason of a verdict on a teacher, in one sentence.

In: the logged steps that it stands on. Out: the sentence. Next:
``poise.diagnostics.judge_teacher``.
"""

import math
from collections.abc import Sequence

from poise.diagnostics.teacher_points import TeacherPoint
from poise.diagnostics.verdict import VerdictKind


def healthy_evidence(tail: Sequence[TeacherPoint]) -> str:
    """Why it is well."""
    last = tail[-1]
    return (
        f"the teacher tells images apart by {last.information:.1%} of ln K at step {last.step} "
        f"(entropy {last.entropy:.1%}) and has done so since step {tail[0].step}"
    )


def stuck_evidence(points: Sequence[TeacherPoint]) -> str:
    """Why the student does not follow."""
    return (
        f"up to step {points[-1].step} the cross-entropy has never been below "
        f"{min(point.entropy + point.kl for point in points):.1%} of ln K: the teacher tells "
        f"images apart by {points[-1].information:.1%}, but the student does not follow (KL "
        f"{points[-1].kl:.1%}, at first {points[0].kl:.1%})"
    )


def collapse_evidence(kind: VerdictKind, tail: Sequence[TeacherPoint], num_prototypes: int) -> str:
    """What the teacher says of every image alike, and since when."""
    entropies = [point.entropy for point in tail]
    most = max(point.information for point in tail)
    numbers = (
        f"teacher entropy {min(entropies):.1%} to {max(entropies):.1%} of ln K, mutual "
        f"information at most {most:.2%}"
    )
    since = f"since step {tail[0].step}"
    if kind is VerdictKind.UNIFORM:
        return f"{since} every image is spread over the prototypes nearly alike: {numbers}"
    shared = math.exp(tail[-1].marginal * math.log(num_prototypes))
    return (
        f"{since} few prototypes win, at step {tail[-1].step} {shared:.3g} of {num_prototypes} "
        f"for all images together: {numbers}"
    )
