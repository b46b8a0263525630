"""Turns YAML and ``key=value`` into a checked object, with clear errors.

In: YAML files, and words from the command line. Out: a ``Recipe`` or a ``Space``. Next: the package
``poise.config``, which exports these functions.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from poise.config.base import Strict
from poise.config.errors import PoiseError, closest_name
from poise.config.keys import check_key, located, overlap
from poise.config.locations import Location
from poise.config.paths import given_path
from poise.config.recipe import Recipe, objective_name
from poise.config.space import Space
from poise.config.wording import explain, shown
from poise.config.yaml_core import parse_yaml, reason

ModelT = TypeVar("ModelT", bound=Strict)

_BY_DOTTED_KEY = ("parameters", "baseline")
"""Groups of a space in which every key is a dotted key of the recipe."""

_USUAL_FOLDERS: dict[type[Strict], str] = {Recipe: "pipelines/recipes", Space: "search_spaces"}
"""Maps each class of settings to the usual folder of its files, relative to the project's folder.
"""


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Reads a recipe and applies ``dotted.key=value`` overrides.

    Raises:
        PoiseError: the file, a key or a value is wrong; the message names the mistake and the fix.
    """
    return _load(Recipe, path, overrides)


def load_space(path: str | Path, overrides: Sequence[str] = ()) -> Space:
    """Reads a search space. Its ``recipe`` path is relative to the folder of the space's own file.

    To override a hyperparameter's values, give its whole key:
    ``parameters.objective.teacher_temp={choice: [0.04, 0.07]}``.

    Raises:
        PoiseError: the file, a key or a value is wrong; the message names the mistake and the fix.
    """
    return _load(Space, path, overrides)


def override_space(space: Space, overrides: Sequence[str], source: str) -> Space:
    """Returns a copy of the space with ``dotted.key=value`` overrides.

    The overrides are applied as in ``load_space``.

    Raises:
        PoiseError: a key or a value is wrong; the message names the mistake and the fix.
    """
    tree = space.model_dump(mode="json")
    return _overridden(Space, tree, parse_overrides(overrides), source)


def override(recipe: Recipe, settings: Mapping[str, Any], source: str) -> Recipe:
    """Returns a copy of the recipe with new values, such as ``{"objective.teacher_temp": 0.07}``.

    Raises:
        PoiseError: a key does not exist, or its value is out of range.
    """
    tree = recipe.model_dump(mode="json")
    for key, value in settings.items():
        check_key(key, source, (recipe.objective.name,))
        _set(tree, key, value, source)
    return build(Recipe, tree, source=source)


def check_value(recipe: Recipe, key: str, value: Any, source: str) -> None:
    """Raises PoiseError if a setting does not accept a value.

    Rules about several settings together are not checked, because the other settings may also
    change.
    """
    tree = recipe.model_dump(mode="json")
    _set(tree, key, value, source)
    try:
        Recipe.model_validate(tree)
    except ValidationError as error:
        if any(f"{located(Recipe, each['loc'])}.".startswith(f"{key}.") for each in error.errors()):
            override(recipe, {key: value}, source)


def with_absolute_paths(recipe: Recipe) -> Recipe:
    """Returns a copy of the recipe with absolute paths of datasets and of initial weights."""
    paths = {
        "data.dataset": recipe.data.dataset,
        "evaluation.queries": recipe.evaluation.queries,
        "evaluation.bank": recipe.evaluation.bank,
    }
    absolute = {key: str(Location.of(path).absolute()) for key, path in paths.items() if path}
    start = recipe.backbone.initial_weights
    if start and given_path(start).is_dir():  # else it is the name of a registered model
        absolute["backbone.initial_weights"] = str(given_path(start).absolute())
    return override(recipe, absolute, recipe.name)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Reads a YAML file that contains a mapping.

    Raises:
        PoiseError: the file does not exist, cannot be read, or contains no mapping.
    """
    try:
        content = parse_yaml(given_path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PoiseError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise PoiseError(f"{path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise PoiseError(f"{path}: not valid YAML: {reason(error)}") from None
    if not isinstance(content, dict):
        raise PoiseError(f"{path}: expected a mapping of options, found {_kind(content)}")
    return content


def _kind(content: Any) -> str:
    return "nothing" if content is None else f"a {type(content).__name__}"


def build(
    model: type[ModelT], tree: Mapping[str, Any], source: str, overridden: Collection[str] = ()
) -> ModelT:
    """Builds an object from its settings, and turns pydantic's errors into one line with the fix.

    Args:
        model: class of the object to build.
        tree: settings of the object.
        source: origin of the settings, for the message.
        overridden: dotted keys that came from the command line.
    """
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        # A missing setting may only be misspelt. Then the error about the misspelling is more
        # useful.
        first, *others = sorted(error.errors(), key=lambda each: each["type"] == "missing")
        at = located(model, first["loc"])
        if any(_concerns(at, first, key) for key in overridden):
            source = "command line"
        more = f" (and {len(others)} more)" if others else ""
        chosen = (objective_name(tree.get("objective")),)
        raise PoiseError(f"{source}: {explain(model, at, first, chosen)}{more}") from None


def _load(model: type[ModelT], path: str | Path, overrides: Sequence[str]) -> ModelT:
    settings = parse_overrides(overrides)
    if not _exists(given_path(path)):
        raise PoiseError(f"{path}: no such file{_files_like(path, _USUAL_FOLDERS[model])}")
    return _overridden(model, read_yaml(path), settings, str(path))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise PoiseError(f"{path}: cannot be read: {error.strerror}") from None


def _overridden(
    model: type[ModelT], tree: dict[str, Any], settings: Mapping[str, Any], source: str
) -> ModelT:
    for key, value in settings.items():
        top, _, rest = key.partition(".")
        if model is Space and top in _BY_DOTTED_KEY and rest:
            _group(tree, top, key, "command line")[rest] = value
        else:
            _set(tree, key, value, "command line")
    return build(model, tree, source, settings)


def _files_like(path: str | Path, folder: str) -> str:
    """Returns the end of a message about a missing file.

    The text names the most similar file, or all files of the folder if none is similar. Names are
    compared without their folder and suffix, because often only these are wrong.
    """
    found = [*Path(path).parent.glob("*.yaml"), *Path(folder).rglob("*.yaml")]
    by_name = {each.stem: str(each) for each in sorted(found)}
    close = closest_name(Path(path).stem, by_name)
    if close:
        return f"; did you mean '{by_name[close]}'?"
    usual = sorted(each.name for each in Path(folder).rglob("*.yaml"))
    return f"; {folder} holds {', '.join(usual)}" if usual else ""


def parse_overrides(texts: Sequence[str]) -> dict[str, Any]:
    """Parses overrides: ``["training.epochs=2"]`` becomes ``{"training.epochs": 2}``.

    Values are YAML.

    Raises:
        PoiseError: a word is not ``key=value``, or two words set the same key.
    """
    settings: dict[str, Any] = {}
    for text in texts:
        key, value = _parse_override(text)
        if key in settings:
            raise PoiseError(
                f"command line: '{key}' is given twice, as {shown(settings[key])} and as "
                f"{shown(value)}; keep one"
            )
        settings[key] = value
    both = overlap(settings)
    if both:
        raise PoiseError(
            f"command line: '{both[1]}' is a part of '{both[0]}', which is given too; keep one"
        )
    return settings


def _parse_override(text: str) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise PoiseError(f"command line: '{text}' is not of the form key=value")
    try:
        return key, parse_yaml(value)
    except yaml.YAMLError as error:
        why = reason(error).removeprefix("line 1: ")
        raise PoiseError(
            f"command line: the value of {shown(text)} is not valid YAML: {why}"
        ) from None


def _set(tree: dict[str, Any], dotted: str, value: Any, source: str) -> None:
    *parents, leaf = dotted.split(".")
    for parent in parents:
        tree = _group(tree, parent, dotted, source)
    tree[leaf] = value


def _group(tree: dict[str, Any], name: str, dotted: str, source: str) -> dict[str, Any]:
    """Returns a group of the settings in ``tree``.

    If the group is missing or empty (``name:``), an empty group is added.
    """
    if tree.get(name) is None:
        tree[name] = {}
    child = tree[name]
    if not isinstance(child, dict):
        raise PoiseError(f"{source}: '{dotted}': '{name}' is a value, not a group of options")
    return child


def _concerns(at: str, details: Any, key: str) -> bool:
    """Returns True if an error is about an overridden key.

    There are two cases. The location of the error is the key, or lies inside the key. Or the
    location is a group that contains the key, and the message of the error names the key.
    """
    if f"{at}.".startswith(f"{key}."):
        return True
    if at and not key.startswith(f"{at}."):
        return False
    return details["type"] != "value_error" or key.removeprefix(f"{at}.") in str(details["msg"])
