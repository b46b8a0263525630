"""Settings of a run's length, batches, hardware and checkpoints."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, PlainValidator, model_validator

from poise.config.base import NonNegative, Positive, PositiveInt, Strict


def _steps_or_auto(value: Any) -> Any:
    """Checks that a value is a number of steps or the word `auto`."""
    if value == "auto" or (type(value) is int and value >= 1):
        return value
    raise ValueError("must be auto or a number of steps of at least 1")


StepsOrAuto = Annotated[int | Literal["auto"], PlainValidator(_steps_or_auto)]


class TrainingConfig(Strict):
    """Length of the run, size of its batches, and hardware."""

    epochs: PositiveInt = 100
    """Number of passes over the training dataset."""

    batch_size: PositiveInt = 512
    """Number of images in a step over all workers."""

    micro_batch_size: PositiveInt | None = None
    """Largest number of images that a worker passes through the model at once. A smaller number
    needs less memory. The batch is then processed in parts, and the gradients of the parts are
    added up. So the result of a step does not change. None passes all images of the worker at once.
    """

    activation_checkpointing: bool = False
    """Whether the backward pass computes the activations of transformer blocks again instead of
    storing them. A step then needs less memory and more time. Its result does not change.
    """

    sharding: Literal["none", "full"] = "none"
    """Whether each worker stores all weights, gradients and optimiser moments (`none`), or each
    worker stores an equal part of them (`full`, FSDP2). Use `full` for backbones that do not fit
    into one GPU. The result of a step does not change.
    """

    num_workers: PositiveInt = 1
    """Number of Ray Train workers. If `min_workers` is set, this is the largest number."""

    min_workers: PositiveInt | None = None
    """Smallest number of workers with which the run continues, if the cluster has no room for
    `num_workers`. The result of a step does not depend on the number of workers. None always takes
    `num_workers`.
    """

    cpus_per_worker: float = Field(1, gt=0)
    """Number of CPU cores that Ray reserves for each worker."""

    device: Literal["any", "cpu", "cuda"] = "any"
    """Device of the training. `any` uses one GPU per worker if the cluster has GPUs, else the CPU.
    """

    precision: Literal["fp32", "bf16"] = "bf16"
    """Number format of the computation. `bf16` uses autocast if the hardware supports it; other
    hardware uses fp32.
    """

    compile: bool = False
    """Whether `torch.compile` compiles the model."""

    log_every_steps: PositiveInt = 50
    """Number of steps between two logged lines. The judge gives a verdict at each logged line, or
    less often in a long run.
    """

    checkpoint_every_steps: StepsOrAuto = "auto"
    """Number of steps between checkpoints. `auto` saves checkpoints at logged steps. `auto` saves
    at most once per minute, and saving takes at most 2 % of the time.
    """

    checkpoint_every_minutes: Positive | None = None
    """Longest time between checkpoints, in minutes. When this time is over, the next logged step
    saves a checkpoint, even before `checkpoint_every_steps`. None sets no limit.
    """

    keep_checkpoints: PositiveInt | None = 2
    """Number of the latest checkpoints to keep; None keeps all."""

    storage_patience_minutes: NonNegative = 5
    """Time in minutes for which Poise tries again if the storage does not answer, or if the disk is
    full. This is for images and checkpoints that are read, and for checkpoints that are written.
    Training waits meanwhile.
    """

    hang_timeout_minutes: Positive | None = 30
    """Longest time in minutes without progress, which is a step, a batch of an evaluation, or a
    part of a checkpoint that is stored. After this time, the run ends. The error names the worker
    that the others wait for, and shows what it is doing. None waits forever.
    """

    stop_after_steps: PositiveInt | None = None
    """Number of steps after which the run ends early. The schedules still span all `epochs`."""

    stop_collapsed: bool = False
    """Whether the run ends early if the judge says that it has collapsed, diverged or got stuck."""

    @property
    def storage_patience_s(self) -> float:
        """``storage_patience_minutes`` in seconds."""
        return 60 * self.storage_patience_minutes

    @model_validator(mode="after")
    def _storage_before_hang(self) -> Self:
        limit = self.hang_timeout_minutes
        if limit is not None and limit <= self.storage_patience_minutes:
            raise ValueError(
                f"hang_timeout_minutes={limit:g} must be more than storage_patience_minutes="
                f"{self.storage_patience_minutes:g}, for which a worker may wait for its storage"
            )
        return self
