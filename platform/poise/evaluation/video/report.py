"""Evaluates video object segmentation with a backbone's patch features.

In: an ``EvaluationTask`` whose dataset has masks and sequences. Out: an ``EvaluationReport`` with
J, F and their mean, and pictures. Next: ``poise evaluate video``.

Protocol ``video/davis-dino-v1``: the first mask of each sequence is given. Labels are propagated as
in DINO (arXiv 2104.14294, section 4.2.2) and scored as in DAVIS 2017 (arXiv 1704.00675). Two
details differ from DINO's script. Images are normalised as in training, while the script uses 0.228
for the first standard deviation. Frames are resized with Pillow's bicubic filter, and not with
bilinear samples. So these values are near the published values, but not equal.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from poise.config.errors import PoiseError
from poise.config.wording import counted
from poise.data.annotations import AnnotationReader, check_annotations, sequences_of
from poise.evaluation.measurement import as_name
from poise.evaluation.report import EvaluationReport, EvaluationTask
from poise.evaluation.video.files import write_objects
from poise.evaluation.video.frames import FrameSize, frame_features
from poise.evaluation.video.pictures import SequencePictures
from poise.evaluation.video.propagation import Mask, Propagation
from poise.evaluation.video.scores import ObjectScore, video_figures
from poise.evaluation.video.tracking import SequenceTracker, objects_of

PROTOCOL = "video/davis-dino-v1"

OBJECTS_FILE = "objects.csv"

_LEAST_FRAMES = 3  # the first frame is given and the last is not scored
_DRAWN_SEQUENCES = 30

Sequences = Mapping[str, NDArray[np.int64]]
"""Maps the name of each sequence to the sample ids of its frames, in order."""


@dataclass
class _Found:
    """Results of the sequences that were processed so far."""

    scores: list[ObjectScore] = field(default_factory=list)
    first_mask: list[ObjectScore] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    """Maps each reason why sequences cannot be scored to the names of these sequences."""

    num_lost: int = 0
    """Number of objects that are too small to cover the centre of a patch."""


def report_video(task: EvaluationTask, shorter_px: int | None = None) -> EvaluationReport:
    """Measures how well patch features follow objects through videos.

    Memory contains a few frames of one sequence and a few numbers per object.

    Args:
        task: task with a transformer, and a dataset with masks and sequences. ``max_images`` limits
            the number of frames, but sequences stay whole and at least one is used.
        shorter_px: length to which the shorter side of each frame is resized. None resizes as in
            the published protocol.

    Raises:
        PoiseError: the dataset lacks masks or sequences, or no sequence can be scored. A sequence
            cannot be scored if its first mask has no object or its frames have several sizes.
    """
    check_annotations(task.dataset, "mask", "sequence")
    every = sequences_of(task.dataset)
    long_enough = {name: ids for name, ids in every.items() if len(ids) >= _LEAST_FRAMES}
    sequences = _chosen(long_enough, task.max_images)
    if not sequences:
        raise PoiseError(
            f"{task.dataset.folder}: no sequence has {_LEAST_FRAMES} frames; the first frame of a "
            "sequence is given and its last is not scored, so there is nothing to measure"
        )
    found = _follow_all(task, sequences, shorter_px)
    if not found.scores:
        reasons = "; ".join(_left_out(found))
        raise PoiseError(f"{task.dataset.folder}: no sequence can be scored: {reasons}")
    write_objects(task.folder / OBJECTS_FILE, found.scores, found.first_mask)
    manifest = task.dataset.manifest
    return EvaluationReport(
        protocol=PROTOCOL,
        changed=(f"--shorter-px={shorter_px}",) if shorter_px else (),
        dataset=str(task.dataset.folder),
        dataset_name=manifest.name,
        image_px=0,
        num_images=sum(map(len, sequences.values())),
        figures_found=video_figures(found.scores, found.first_mask),
        notes=tuple(_notes(found, len(every) - len(long_enough))),
        pictures=(OBJECTS_FILE, *found.pictures),
    )


def _chosen(sequences: Sequences, max_images: int | None) -> Sequences:
    """Chooses sequences in a random order with seed 0, until the limit on frames is reached.

    A sequence is never cut, and at least one is chosen.
    """
    if max_images is None or not sequences:
        return sequences
    names = sorted(sequences)
    taken: set[str] = set()
    frames = 0
    for position in np.random.default_rng(0).permutation(len(names)):
        frames += len(sequences[names[position]])
        if frames > max_images and taken:
            break
        taken.add(names[position])
    return {name: ids for name, ids in sequences.items() if name in taken}


def _follow_all(task: EvaluationTask, sequences: Sequences, shorter_px: int | None) -> _Found:
    patch_px = int(task.backbone.patch_px)  # type: ignore[arg-type]
    size = FrameSize(patch_px, shorter_px=shorter_px)
    ids = np.concatenate(list(sequences.values()))
    features = frame_features(task.backbone, task.dataset, ids, task.bench, size)
    masks = AnnotationReader(task.dataset, "mask")
    found = _Found()
    every = -(-len(sequences) // _DRAWN_SEQUENCES)
    for number, (name, its_ids) in enumerate(sequences.items()):
        frames = islice(features, len(its_ids))
        truths = masks.read(its_ids).masks
        if problem := _problem(truths):
            found.left_out.setdefault(problem, []).append(name)
            for _ in frames:  # skips the frames of this sequence
                pass
            continue
        first = next(frames)
        tracker = SequenceTracker(name, first, truths[0], patch_px, Propagation())
        drawn = SequencePictures(task.dataset, its_ids.tolist()) if number % every == 0 else None
        _follow(tracker, frames, truths, drawn)
        _add(found, tracker)
        if drawn:
            # The number keeps file names different if two sequence names become the same.
            found.pictures.extend(drawn.write(task.folder, f"{number + 1:03d}-{as_name(name)}"))
    return found


def _problem(truths: Sequence[Mask]) -> str | None:
    """Returns why a sequence with these masks cannot be scored, or None."""
    if len({mask.shape for mask in truths}) > 1:
        return "with frames of several sizes"
    if not objects_of(truths[0]):
        return "without an object in the first frame"
    return None


def _follow(
    tracker: SequenceTracker,
    frames: Iterator[Tensor],
    truths: Sequence[Mask],
    drawn: SequencePictures | None,
) -> None:
    """Predicts and scores every frame after the first."""
    if drawn:
        drawn.add(0, truths[0], truths[0])
    for position, features in enumerate(frames, start=1):
        truth = truths[position]
        mask = tracker.advance(features, truth)
        if drawn:
            drawn.add(position, truth, mask)


def _add(found: _Found, tracker: SequenceTracker) -> None:
    scores, still = tracker.scores()
    found.scores.extend(scores)
    found.first_mask.extend(still)
    found.num_lost += tracker.num_lost


def _left_out(found: _Found) -> Iterator[str]:
    for problem, names in found.left_out.items():
        yield f"{counted(len(names), 'sequence')} {problem}, such as {', '.join(names[:3])}"


def _notes(found: _Found, num_short: int) -> Iterator[str]:
    num_scored = len({score.sequence for score in found.scores})
    yield (
        f"{counted(len(found.scores), 'object')} in {counted(num_scored, 'sequence')}. Means are "
        "over objects, and intervals are a bootstrap over sequences. The first mask of a sequence "
        "is given, and its last frame is not scored, as on DAVIS."
    )
    yield (
        "first_mask_… is the baseline that keeps the first mask in every frame. A model whose gain "
        "over it is not above 0 has features that carry no labels."
    )
    if found.num_lost:
        yield (
            f"Without a patch's centre in the first frame: {counted(found.num_lost, 'object')}. "
            "Such an object has no label to propagate and scores 0; larger frames (--shorter-px) "
            "give it patches."
        )
    yield from (f"Left out: {sequences}." for sequences in _left_out(found))
    if num_short:
        yield f"Left out: {counted(num_short, 'sequence')} of fewer than {_LEAST_FRAMES} frames."
