"""Versions that exist only in memory."""

from poise.tracking.registry.version import RegisteredFigure, Version, stored_tags


def knn(value: float, half: float = 2.0, dataset: str = "scenes-test") -> RegisteredFigure:
    """A k-NN accuracy with its interval."""
    return RegisteredFigure(value, "%", value - half, value + half, "knn/dino-v1", dataset)


def version(number: int = 1, *aliases: str, **values: RegisteredFigure | str) -> Version:
    """A version of the model ``vit``. Texts become tags and figures become ``eval/…``."""
    figures = {f"eval/{k}": v for k, v in values.items() if isinstance(v, RegisteredFigure)}
    tags = {k: v for k, v in values.items() if isinstance(v, str)}
    known_by = {"metric": next(iter(figures))} if figures else {}
    return Version(
        name="vit",
        version=number,
        aliases=aliases,
        created_ms=number,
        run_id=f"{number:032x}",
        source="/nowhere",
        stored_tags=stored_tags(known_by | tags, figures),
    )
