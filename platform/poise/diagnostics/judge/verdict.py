"""The kinds of verdict, and the limits that decide between them.

In: nothing. Out: ``Verdict`` and ``Limits``. Next: ``poise.diagnostics.judge.judge``, then the
log, the study's table and the registry, which takes only healthy runs.
"""

from dataclasses import dataclass
from enum import StrEnum


class VerdictKind(StrEnum):
    """How a run went."""

    HEALTHY = "healthy"
    UNIFORM = "collapsed: uniform"
    SINGLE_PROTOTYPE = "collapsed: single prototype"
    PARTIAL_PROTOTYPES = "collapsed: partial prototypes"
    DIMENSIONAL = "collapsed: dimensional"
    PREDICTS_MEAN = "collapsed: predicts the mean"
    STUCK = "stuck at ln K"
    DIVERGED = "diverged"
    UNDECIDED = "undecided"


FEW_PROTOTYPES = (VerdictKind.SINGLE_PROTOTYPE, VerdictKind.PARTIAL_PROTOTYPES)
"""The collapses that centering is there to prevent: stages of one."""


@dataclass(frozen=True)
class Verdict:
    """A judgement with its reason."""

    kind: VerdictKind
    onset_step: int | None
    """First step from which the condition holds to the end; none for healthy and undecided."""

    evidence: str
    """One sentence with the numbers."""

    advice: str
    """What to try next; empty for a healthy run."""

    @property
    def collapsed(self) -> bool:
        """Any kind of collapse."""
        return self.kind.startswith("collapsed")

    @property
    def condemned(self) -> bool:
        """Whether training on would be wasted."""
        return self.kind not in (VerdictKind.HEALTHY, VerdictKind.UNDECIDED)


@dataclass(frozen=True)
class Limits:
    """Every limit of the judgement. A teacher's shares are of ln K.

    ``docs/decisions/0007-verdict.md`` says where each comes from and how it was tested.
    """

    no_information_share: float = 0.01
    """Mutual information below this is none."""

    few_prototypes_share: float = 0.2
    """Marginal entropy below this is the single prototype's end: the whole batch shares K^0.2
    prototypes (4 of 1024, 9 of 65536). Without centering a few images go on escaping to a second
    prototype for long after the collapse, so information alone would see it late or never."""

    partial_prototypes_share: float = 0.4
    """Marginal entropy below this, yet above the last, is a partial collapse: the batch shares
    K^0.4 prototypes (16 of 1024, 84 of 65536)."""

    few_prototypes_share_of_batch: float = 0.33
    """The same of ln(images in a batch), where that is less: images that are all told apart, each
    by one prototype, share no more prototypes than there are images."""

    partial_prototypes_share_of_batch: float = 0.5
    """Likewise: √B prototypes for B images."""

    border_entropy_share: float = 0.5
    """Without information, entropy above this is the uniform end, below it the single
    prototype's: √K prototypes."""

    fading_information_share: float = 0.005
    """Of a teacher that has never told anything: information that has come down to this and goes
    on falling, with a divergence below ``no_divergence_share``. Nothing then drives it apart
    again."""

    no_divergence_share: float = 0.01
    """A student whose divergence from its teacher is below this agrees with it."""

    fading_factor: float = 0.6
    """Information fades when it is below this multiple of what it was when it became none."""

    vanished_factor: float = 0.01
    """Information below this multiple of the most that there ever was has faded as well."""

    rebound_factor: float = 1.25
    """Information that is above this multiple of its lowest does not fade any longer. Nor is a
    partial collapse one where the batch shares more prototypes by it than it lately did."""

    lost_rank_share: float = 0.25
    """RankMe below this share of what the untrained features have is dimensional collapse."""

    exploded_factor: float = 2.0
    """A loss above this multiple of what it first was, and of knowing nothing, has exploded."""

    stuck_loss_share: float = 0.9
    """A cross-entropy above this, since the first step, is at ln K …"""

    stuck_loss_most: float = 1.1
    """… unless it is above this: then the student is wrong, not stuck."""

    stuck_kl_factor: float = 0.8
    """A student whose divergence from its teacher has never been below this multiple of the first
    one does not follow it. A healthy one halves it within its warm-up."""

    min_share_of_plan_stuck: float = 0.25
    """Of the planned steps that a student is given to follow, unless its warm-up takes longer."""

    nothing_explained_share: float = 0.01
    """Of the variance of hidden patches: a decoder that explains less predicts the mean."""

    min_observations: int = 3
    """Logged steps that a condition must hold for, at the end of the history."""

    min_share_of_steps: float = 0.1
    """Of the steps so far that the condition must have held for …"""

    most_share_of_plan: float = 0.05
    """… but of no more than this share of the planned steps."""

    contrary_share: float = 0.05
    """Of the logged steps of a stretch that may look otherwise, as single ones do in long runs."""

    min_share_of_plan_lasting: float = 0.02
    """Of the planned steps that a collapse must have lasted for."""

    min_share_of_plan_partial: float = 0.1
    """As the last, for a partial collapse: with few prototypes in all it may heal."""

    settling_steps: int = 24
    """First steps, or whole runs, of which nothing but divergence can be told."""

    settling_memories: float = 3
    """As the last for collapses on few prototypes, in units of the steps that the centre averages
    over: it begins at 0, which by then has a weight of 5 %, and until it has found the teacher's
    mean few prototypes may win."""

    min_observations_from_start: int = 10
    """As ``min_observations``, for a run that may not have begun to learn: a uniform one whose
    information has never risen, a decoder that has never explained anything."""

    min_share_of_plan: float = 0.5
    """Of the planned steps that such a run is given before it is called collapsed."""

    min_share_of_plan_fading: float = 0.08
    """Of the planned steps, for a teacher whose information fades from the start."""

    rising_factor: float = 2.0
    """Information, or what is explained, has risen when it has grown by this factor, unless it is
    under ``noise_share`` of what counts as none."""

    noise_share: float = 0.1
    """Of what counts as none: below it growth is noise."""

    copied_gap: float = 1.0e-9
    """A teacher no further than this from its student, in relation, is the student."""


DEFAULT_LIMITS = Limits()
