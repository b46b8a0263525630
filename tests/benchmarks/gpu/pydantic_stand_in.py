"""Settings without pydantic, for a machine that lacks it: defaults and nesting, but no checks.

It has the names that ``poise.config`` and ``poise.data.manifest`` use. The recipes of ``bench_gpu``
are correct without checks: a test compares them with those that pydantic makes.
"""

import inspect
from collections.abc import Callable
from types import UnionType
from typing import Annotated, Any, ClassVar, Self, Union, get_args, get_origin, get_type_hints

_MISSING = object()

ConfigDict = dict


class ValidationError(ValueError):
    """Never raised here: nothing is checked."""


class FieldInfo:
    """Default of a field."""

    def __init__(self, default: Any, default_factory: Callable[[], Any] | None) -> None:
        self.default, self._factory = default, default_factory

    def get_default(self) -> Any:
        return self.default if self._factory is None else self._factory()


def Field(  # noqa: N802 — pydantic's name
    default: Any = _MISSING, *, default_factory: Callable[[], Any] | None = None, **_: Any
) -> Any:
    return FieldInfo(default, default_factory)


class _Mark:
    """A validator or serializer in an annotation; it does nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass


AfterValidator = BeforeValidator = PlainValidator = PlainSerializer = _Mark


def field_validator(*_: Any, **__: Any) -> Callable[[Any], Any]:
    return lambda function: function


model_validator = field_validator


class BaseModel:
    """Object with the annotated fields of its class."""

    model_config: ClassVar[dict[str, Any]] = {}
    model_fields: ClassVar[dict[str, FieldInfo]] = {}

    def __init_subclass__(cls) -> None:
        cls.model_fields = dict(cls.model_fields)
        for name in inspect.get_annotations(cls):
            given = cls.__dict__.get(name, _MISSING)
            is_field = isinstance(given, FieldInfo)
            cls.model_fields[name] = given if is_field else FieldInfo(given, None)

    def __init__(self, **given: Any) -> None:
        unknown = given.keys() - self.model_fields.keys()
        if unknown:
            raise TypeError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}")
        hints = get_type_hints(type(self))
        for name, field in self.model_fields.items():
            value = given[name] if name in given else field.get_default()
            if value is _MISSING:
                raise TypeError(f"{type(self).__name__} needs {name}")
            vars(self)[name] = _converted(hints[name], value)

    @classmethod
    def model_validate(cls, tree: Any) -> Self:
        return cls(**tree)


def _converted(hint: Any, value: Any) -> Any:
    """Turns a dict into the model that a field holds, and a list into its tuple."""
    if get_origin(hint) is Annotated:
        return _converted(get_args(hint)[0], value)
    choices = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    models = [each for each in choices if isinstance(each, type) and issubclass(each, BaseModel)]
    if models and isinstance(value, dict):
        named = [each for each in models if _name(each) == value.get("name", _name(models[0]))]
        return (named or models)[0](**value)
    if isinstance(value, list) and any(get_origin(each) is tuple for each in choices):
        return tuple(value)
    return value


def _name(model: type[BaseModel]) -> Any:
    field = model.model_fields.get("name")
    return None if field is None else field.default
