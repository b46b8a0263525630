"""Lists the dotted keys of settings, and finds the key that an error is about.

In: a pydantic model of settings. Out: keys such as ``objective.head.hidden_dim``. Next: error
messages of ``poise.config.loading`` and of sweeps.
"""

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from poise.config.errors import PoiseError
from poise.config.recipe import Recipe

_SHORTEST_PIECE = 3
"""Smallest length of an unknown name that is searched inside the known names. Shorter names occur
in too many known names.
"""


def groups(annotation: Any) -> tuple[type[BaseModel], ...]:
    """Returns the models of settings that a field may contain.

    A field for a group of options has one model. A field with a choice of groups has several
    models. A field for a plain value has none.
    """
    alternatives = (
        get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    )
    return tuple(
        each for each in alternatives if isinstance(each, type) and issubclass(each, BaseModel)
    )


def field_names(
    model: type[BaseModel] = Recipe, chosen: Collection[Any] = (), prefix: str = ""
) -> Iterator[str]:
    """Yields every dotted key of a model's settings.

    Args:
        model: model of the settings.
        chosen: names of chosen alternatives, such as ``mae``. If none of the alternatives of a
            field is chosen, the keys of all alternatives are yielded.
        prefix: text before each key.
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
    """Yields the dotted key and the value of every setting in nested settings.

    An empty group counts as a value.
    """
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def overlap(keys: Iterable[str]) -> tuple[str, str] | None:
    """Finds a key that lies inside another key. Returns the outer and the inner key, or None.

    For example, ``backbone.options`` also sets ``backbone.options.depth``. If both are given, their
    order would decide which value is used.
    """
    there = list(keys)
    for group in there:
        for key in there:
            if key.startswith(f"{group}."):
                return group, key
    return None


def check_key(key: str, source: str, chosen: Collection[Any] = ()) -> None:
    """Raises PoiseError if a recipe has no such key. The message names the most similar key."""
    names = list(field_names(chosen=chosen))
    free_form = key.startswith("backbone.options.")
    if key not in names and not free_form:
        raise PoiseError(f"{source}: no option is called '{key}'{nearest(key, names)}")


def located(model: type[BaseModel], location: Sequence[int | str]) -> str:
    """Converts the location of a pydantic error to a dotted key.

    Leaves out the names of alternatives, such as ``mae``, which pydantic inserts.
    """
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
    """Returns the end of a message about an unknown name: ``; did you mean 'x'?``, or nothing.

    Args:
        key: unknown name.
        names: known names.
        most: largest number of names to suggest.
    """
    found = _alike(key, names, most)
    quoted = [f"'{name}'" for name in names if name in found]  # keeps the order of ``names``
    return f"; did you mean {' or '.join(quoted[:most])}?" if quoted else ""


def _alike(key: str, names: Sequence[str], most: int) -> list[str]:
    """Finds known names that resemble an unknown key.

    The function searches in three ways and returns the first names that it finds. It searches for
    names with the same last part, for similar names, and for names whose last part contains that of
    the key.
    """
    leaf = _leaf(key)
    same_leaf = [name for name in names if _leaf(name) == leaf]
    close = difflib.get_close_matches(key, names, n=most, cutoff=0.4)
    is_piece = len(leaf) >= _SHORTEST_PIECE
    return same_leaf or close or [name for name in names if is_piece and leaf in _leaf(name)]


def _leaf(name: str) -> str:
    """Returns the last part of a setting's key or of a metric's name."""
    return name.replace("/", ".").rpartition(".")[2]


def _narrowed(
    alternatives: tuple[type[BaseModel], ...], chosen: Collection[Any]
) -> tuple[type[BaseModel], ...]:
    return tuple(each for each in alternatives if set(_names(each)) & set(chosen)) or alternatives


def _names(group: type[BaseModel]) -> tuple[Any, ...]:
    """Returns the allowed values of a group's field ``name``, such as ``dino`` for an objective."""
    field = group.model_fields.get("name")
    return get_args(field.annotation) if field else ()
