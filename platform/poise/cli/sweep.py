"""``poise sweep``: many runs of one recipe, the best of which is registered."""

from poise.cli import studying
from poise.cli.studying import (
    Asked,
    DryRunOption,
    ExtendOption,
    NameOption,
    OnlyOption,
    ResumeOption,
    SettingsArgument,
    SpaceArgument,
)


def command(
    space: SpaceArgument = None,
    settings: SettingsArgument = None,
    name: NameOption = None,
    resume: ResumeOption = False,
    extend: ExtendOption = False,
    only: OnlyOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Sweep a SPACE; register the best healthy backbone.

    Each trial is trained, tracked in MLflow and judged: healthy, or which collapse. Interrupt the
    study whenever you like: the same command with --resume finishes what is left, and so does
    `poise sweep --resume NAME`.

    Example: poise sweep search_spaces/demo.yaml trials=4 training.epochs=2
    """
    words = [word for word in (space, *(settings or [])) if word is not None]
    studying.conduct(Asked("sweep", words, name, resume, extend, only or (), dry_run))
