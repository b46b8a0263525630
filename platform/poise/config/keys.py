"""The dotted keys of settings: which there are, and which one an error is about.

In: a model of settings. Out: keys such as ``objective.head.hidden_dim``. Next: the messages of
``poise.config.loading`` and of sweeps.
"""

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from poise.config.errors import PoiseError
from poise.config.recipe import Recipe

_SHORTEST_PIECE = 3
"""Characters: fewer are in so many names that they point at none."""


def groups(annotation: Any) -> tuple[type[BaseModel], ...]:
    """The models that a field may hold: one for a group, several for a choice, none for a leaf."""
    alternatives = (
        get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    )
    return tuple(
        each for each in alternatives if isinstance(each, type) and issubclass(each, BaseModel)
    )


def field_names(
    model: type[BaseModel] = Recipe, chosen: Collection[Any] = (), prefix: str = ""
) -> Iterator[str]:
    """Every dotted key of a model's leaves.

    Args:
        model: the model of the settings.
        chosen: names of what was chosen where there is a choice (``mae``); where nothing of a
            choice is in it, the keys of all its alternatives.
        prefix: prefix of the keys.
    """
    for name, field in model.model_fields.items():
        alternatives = groups(field.annotation)
        if not alternatives:
            yield f"{prefix}{name}"
        keys: dict[str, None] = {}
        for group in _narrowed(alternatives, chosen):
            keys |= dict.fromkeys(field_names(group, chosen, f"{prefix}{name}."))
        yield from keys


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested settings with their dotted keys; an empty group counts as a value."""
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def overlap(keys: Iterable[str]) -> tuple[str, str] | None:
    """The first key that lies within another one, after that one; none where no two overlap.

    ``backbone.options`` sets all that ``backbone.options.depth`` sets: which of the two would
    count depends on their order.
    """
    there = list(keys)
    for group in there:
        for key in there:
            if key.startswith(f"{group}."):
                return group, key
    return None


def check_key(key: str, source: str, chosen: Collection[Any] = ()) -> None:
    """Raises PoiseError with the nearest valid name when a recipe has no such key."""
    names = list(field_names(chosen=chosen))
    free_form = key.startswith("backbone.options.")
    if key not in names and not free_form:
        raise PoiseError(f"{source}: no setting is called '{key}'{nearest(key, names)}")


def located(model: type[BaseModel], location: Sequence[int | str]) -> str:
    """The dotted key of one of pydantic's error locations, which name what was chosen as well."""
    parts: list[str] = []
    alternatives: tuple[type[BaseModel], ...] = (model,)
    for part in location:
        if len(alternatives) > 1 and any(part in _names(group) for group in alternatives):
            alternatives = _narrowed(alternatives, (part,))
            continue
        fields = [group.model_fields.get(str(part)) for group in alternatives]
        alternatives = groups(fields[0].annotation) if fields and fields[0] else ()
        parts.append(str(part))
    return ".".join(parts)


def nearest(key: str, names: Sequence[str], most: int = 1) -> str:
    """The end of a message about an unknown name: ``; did you mean 'x' or 'y'?``, or nothing.

    Args:
        key: the unknown name.
        names: the known names.
        most: the most names to offer.
    """
    found = _alike(key, names, most)
    quoted = [f"'{name}'" for name in names if name in found]  # equally near, the first is first
    return f"; did you mean {' or '.join(quoted[:most])}?" if quoted else ""


def _alike(key: str, names: Sequence[str], most: int) -> list[str]:
    """Names with the same last part, else similar ones, else those that contain it (``knn``)."""
    leaf = _leaf(key)
    same_leaf = [name for name in names if _leaf(name) == leaf]
    close = difflib.get_close_matches(key, names, n=most, cutoff=0.4)
    is_piece = len(leaf) >= _SHORTEST_PIECE
    return same_leaf or close or [name for name in names if is_piece and leaf in _leaf(name)]


def _leaf(name: str) -> str:
    """The last part of a setting's key, or of a metric's name."""
    return name.replace("/", ".").rpartition(".")[2]


def _narrowed(
    alternatives: tuple[type[BaseModel], ...], chosen: Collection[Any]
) -> tuple[type[BaseModel], ...]:
    return tuple(each for each in alternatives if set(_names(each)) & set(chosen)) or alternatives


def _names(group: type[BaseModel]) -> tuple[Any, ...]:
    """The values of ``name`` that choose this group among others."""
    field = group.model_fields.get("name")
    return get_args(field.annotation) if field else ()
