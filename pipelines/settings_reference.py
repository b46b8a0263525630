"""Writes ``docs/settings.md``: every setting of a recipe and of a space, from the code itself.

python pipelines/settings_reference.py
"""

import ast
import inspect
import textwrap
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from poise.config import Recipe, Space

PAGE = Path(__file__).resolve().parents[1] / "docs" / "settings.md"
_LIMITS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
_KINDS = {int: "whole number", float: "number", str: "text", bool: "true or false"}


def reference() -> str:
    """Returns the page: one table for each group of settings."""
    lines = [
        "# Settings of recipes and spaces",
        "",
        "`pipelines/settings_reference.py` writes this page from the settings' own descriptions.",
        "On the command line, `key=value` changes a setting: `training.epochs=20`.",
    ]
    for title, model in (("Recipes", Recipe), ("Spaces", Space)):
        lines += ["", f"## {title}"]
        for group, settings in _groups("", model):
            lines += ["", f"### {_heading(group, settings)}", "", _summary(settings), ""]
            lines += ["| setting | values | default | meaning |", "|---|---|---|---|"]
            lines += _rows(group, settings)
    return "\n".join(lines) + "\n"


def _groups(prefix: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yields a model and those of its fields, each with its dotted key."""
    yield prefix, model
    for name, field in model.model_fields.items():
        key = f"{prefix}.{name}" if prefix else name
        for each in _models(field.annotation):
            yield from _groups(key, each)


def _heading(group: str, model: type[BaseModel]) -> str:
    """Returns the group's key, with the name that chooses the model where several may be there."""
    name = model.model_fields.get("name")
    chosen = get_args(name.annotation) if name is not None else ()
    return (f"{group}: {chosen[0]}" if len(chosen) == 1 else group) or "top level"


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Returns the settings that a field may hold; none if it holds plain values."""
    if inspect.isclass(annotation):
        return [annotation] if issubclass(annotation, BaseModel) else []
    if get_origin(annotation) in (dict, list, tuple):
        return []
    return [model for part in get_args(annotation) for model in _models(part)]


def _rows(group: str, model: type[BaseModel]) -> Iterator[str]:
    """Yields a row for each plain setting."""
    meanings = _descriptions(model)
    for name, field in model.model_fields.items():
        if _models(field.annotation):
            continue
        key = f"{group}.{name}" if group else name
        meaning = meanings.get(name) or ("Chooses this table." if name == "name" else "")
        cells = (f"`{key}`", _values(field), _default(field), meaning)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _summary(model: type[BaseModel]) -> str:
    return inspect.cleandoc(model.__doc__ or "").split("\n\n")[0].replace("\n", " ")


def _descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Returns the text below each field in the source, of the model and what it inherits."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if not (issubclass(each, BaseModel) and each.__module__.startswith("poise.")):
            continue
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(each))).body
        assert isinstance(tree, ast.ClassDef)
        for field, text in zip(tree.body, tree.body[1:], strict=False):
            if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
                continue
            if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                found[field.target.id] = " ".join(str(text.value.value).split())
    return found


def _values(field: FieldInfo) -> str:
    """Describes the values that a setting takes, with their limits."""
    return _described(field.annotation, _limits(field.metadata))


def _described(annotation: Any, limits: str = "") -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _described(parts[0], limits or _limits(annotation.__metadata__))
    if origin is Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(
            "`null`" if p is types.NoneType else _described(p, limits) for p in parts
        )
    if origin is tuple:
        kinds = [_described(part) for part in parts if part is not Ellipsis]
        return f"list of {kinds[0]}" if Ellipsis in parts else f"[{', '.join(kinds)}]"
    if origin is list:
        return f"list of {_described(parts[0])}"
    if origin is dict or annotation is dict:
        return "names and values"
    return " ".join(filter(None, (_KINDS.get(annotation, "any value"), limits)))


def _limits(metadata: Any) -> str:
    """Describes bounds: ``≥ 1``."""
    bounds: list[str] = []
    for each in metadata:
        for part in getattr(each, "metadata", None) or [each]:
            for name, sign in _LIMITS.items():
                if getattr(part, name, None) is not None:
                    bounds.append(f"{sign} {getattr(part, name):,}")
    return ", ".join(bounds)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined:
        return "`null`"
    plain = list(value) if isinstance(value, tuple) else value
    shown = str(plain).lower() if isinstance(plain, bool) else str(plain)
    return f"`{shown}`" if shown else "none"


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
