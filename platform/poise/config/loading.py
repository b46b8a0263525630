"""From YAML and ``key=value`` to a checked object, with errors for people."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from poise.config.base import Strict
from poise.config.errors import PoiseError
from poise.config.recipe import Recipe
from poise.config.space import Space

ModelT = TypeVar("ModelT", bound=Strict)


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Reads a recipe and applies ``dotted.key=value`` overrides.

    Raises:
        PoiseError: the file, a key or a value is wrong; the message names it and the fix.
    """
    return build(Recipe, _with_overrides(read_yaml(path), overrides), source=str(path))


def load_space(path: str | Path, overrides: Sequence[str] = ()) -> Space:
    """Reads a search space. Its ``recipe`` path is taken relative to the space's own file.

    Raises:
        PoiseError: the file, a key or a value is wrong; the message names it and the fix.
    """
    return build(Space, _with_overrides(read_yaml(path), overrides), source=str(path))


def override(recipe: Recipe, settings: Mapping[str, Any], source: str) -> Recipe:
    """A copy of the recipe with dotted keys set: ``{"objective.teacher_temp": 0.07}``.

    Raises:
        PoiseError: a key does not exist or its value is out of the field's limits.
    """
    tree = recipe.model_dump(mode="json")
    for key, value in settings.items():
        check_key(key, source)
        _set(tree, key, value)
    return build(Recipe, tree, source=source)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PoiseError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise PoiseError(f"{path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise PoiseError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise PoiseError(f"{path}: expected a mapping of settings, found {type(content).__name__}")
    return content


def build(model: type[ModelT], tree: Mapping[str, Any], source: str) -> ModelT:
    """Validates ``tree``, rewriting pydantic's report into one line that names the fix."""
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise PoiseError(f"{source}: {_explain(model, error)}") from None


def field_names(model: type[BaseModel] = Recipe, prefix: str = "") -> Iterator[str]:
    """Every dotted key of a model's leaves, such as ``objective.head.hidden_dim``."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from field_names(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def check_key(key: str, source: str) -> None:
    """Raises PoiseError with the nearest valid name when a recipe has no such key."""
    names = list(field_names())
    free_form = key.startswith("backbone.options.")
    if key not in names and not free_form:
        raise PoiseError(f"{source}: no setting is called '{key}'{_nearest(key, names)}")


def _with_overrides(tree: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    for text in overrides:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise PoiseError(f"command line: '{text}' is not of the form key=value")
        try:
            _set(tree, key, yaml.safe_load(value))
        except yaml.YAMLError:
            raise PoiseError(f"command line: the value of '{text}' is not valid YAML") from None
    return tree


def _set(tree: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, leaf = dotted.split(".")
    for parent in parents:
        child = tree.setdefault(parent, {})
        if not isinstance(child, dict):
            raise PoiseError(f"'{dotted}': '{parent}' is a value, not a group of settings")
        tree = child
    tree[leaf] = value


def _explain(model: type[Strict], error: ValidationError) -> str:
    lines = [_explain_one(model, details) for details in error.errors()]
    more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return lines[0] + more


def _explain_one(model: type[Strict], details: Any) -> str:
    key = ".".join(str(part) for part in details["loc"])
    if details["type"] == "extra_forbidden":
        return f"no setting is called '{key}'{_nearest(key, list(field_names(model)))}"
    if details["type"] == "missing":
        return f"'{key}' is missing"
    reason = str(details["msg"]).removeprefix("Value error, ")
    return f"'{key}': {reason}, got {details['input']!r}" if key else reason


def _nearest(key: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(key, names, n=1, cutoff=0.4)
    by_leaf = [name for name in names if name.rpartition(".")[2] == key.rpartition(".")[2]]
    found = by_leaf[:1] or close
    return f"; did you mean '{found[0]}'?" if found else ""
