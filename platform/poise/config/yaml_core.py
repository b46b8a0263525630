"""Reads and writes YAML with the core schema of YAML 1.2. All code of Poise reads YAML here.

In: YAML text. Out: mappings, lists, text, numbers, booleans and null. The module also writes such
values as text. Next: ``poise.config.loading``.

PyYAML reads YAML 1.1, in which ``1:30`` is 90, ``0100`` is 64, ``yes`` is true and ``1e-4`` is
text. The core schema (yaml.org/spec/1.2.2, section 10.3.2) has only these forms:

- null: ``null``, ``Null``, ``NULL``, ``~`` or nothing
- booleans: ``true`` and ``false``, also as ``True`` or ``TRUE``
- whole numbers: ``12``, ``0100`` (decimal: 100), ``0o14`` (octal), ``0x1F`` (hexadecimal)
- numbers: ``0.5``, ``.5``, ``1e-4``, ``.inf``, ``.nan``

Everything else is text. Keys are text, and no key may occur twice. Merge keys (``<<``) and aliases
are supported.
"""

import math
import re
from typing import Any

import yaml

from poise.config.errors import one_line

MAX_DEPTH = 40
"""Largest depth of nested groups and lists."""

MAX_NODES = 100_000
"""Largest number of values in a text. An alias counts as all values that it stands for."""

_TAG = "tag:yaml.org,2002:"
_WORDS = {"null": None, "true": True, "false": False}
_RADIX = {"0o": 8, "0x": 16}

_FORMS = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    ("merge", r"<<", ["<"]),
)
"""Plain values of the core schema, as triples: the kind of value, the pattern of its text, and the
characters with which the text may begin.
"""


def parse_yaml(text: str) -> Any:
    """Reads the content of a YAML text.

    Raises:
        yaml.YAMLError: the text is not valid; ``reason`` says why in one line.
    """
    return yaml.load(text, _CoreLoader)


def dump_yaml(tree: Any) -> str:
    """Writes plain values as YAML, in the order of their keys.

    ``parse_yaml`` reads the same values back.
    """
    return yaml.dump(tree, Dumper=_CoreDumper, sort_keys=False, allow_unicode=True)


def reason(error: yaml.YAMLError) -> str:
    """Explains in one line why a text is not valid YAML."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None)
    where = f"line {mark.line + 1}: " if mark else ""
    return f"{where}{one_line(problem or error)}"


class _CoreLoader(yaml.SafeLoader):
    """Safe loader of PyYAML with the core schema, and with limits for nesting and aliases."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Reads a value. Refuses values that are nested too deeply or contain too many values."""
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _problem(f"more than {MAX_DEPTH} lists and groups inside each other", mark)
        is_alias = self.check_event(yaml.AliasEvent)
        node: Any = super().compose_node(parent, index)
        self._depth -= 1
        if not is_alias:
            self._sizes[id(node)] = 1 + sum(self._sizes.get(id(each), 0) for each in _parts(node))
        elif id(node) not in self._sizes:
            raise _problem("an alias stands for a value that contains the alias", mark)
        if self._sizes[id(node)] > MAX_NODES:
            raise _problem(f"more than {MAX_NODES:,} values, aliases written out", mark)
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Refuses a key that occurs twice. A merge (``<<``) may repeat keys."""
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if key.tag not in (f"{_TAG}str", f"{_TAG}merge"):
                written = f" {key.value}" if isinstance(key, yaml.ScalarNode) else ""
                raise _problem(f"the key{written} is not text; put it in quotes", key.start_mark)
            line = key.start_mark.line + 1
            if key.value in lines:
                again = f"'{key.value}' is given twice, first in line {lines[key.value]}; keep one"
                raise _problem(again, key.start_mark)
            lines[key.value] = line
        return node

    def construct_word(self, node: yaml.ScalarNode) -> bool | None:
        """Reads a boolean or null."""
        text = node.value.lower()
        return _WORDS[text] if self._has_form(node) and text in _WORDS else None

    def construct_whole(self, node: yaml.ScalarNode) -> int:
        """Reads a whole number."""
        self._has_form(node)
        radix = _RADIX.get(node.value[:2])
        try:
            return int(node.value[2:], radix) if radix else int(node.value)
        except ValueError:  # Python limits the number of digits
            length = len(node.value)
            raise _problem(f"a number of {length} digits is too long", node.start_mark) from None

    def construct_number(self, node: yaml.ScalarNode) -> float:
        """Reads a number with a fraction or an exponent."""
        self._has_form(node)
        text = node.value.lower()
        number = float(text.replace(".inf", "inf").replace(".nan", "nan"))
        if math.isinf(number) and "inf" not in text:
            raise _problem(f"{node.value} is too large for a number", node.start_mark)
        return number

    def construct_unknown(self, node: yaml.Node) -> None:
        """Refuses a tag that the core schema does not have."""
        raise _problem(f"the tag {node.tag} has no meaning here; leave it out", node.start_mark)

    def _has_form(self, node: yaml.ScalarNode) -> bool:
        """Checks that a scalar has the form of its kind.

        The form can be wrong if a tag in the text gives the kind, as in ``!!int abc``.
        """
        kind = node.tag.removeprefix(_TAG)
        if not re.fullmatch(next(form for name, form, _ in _FORMS if name == kind), node.value):
            raise _problem(f"'{node.value}' is no {kind}", node.start_mark)
        return True


class _CoreDumper(yaml.SafeDumper):
    """Safe dumper of PyYAML, which also quotes text that the core schema would read as a number."""


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _problem(text: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=text, problem_mark=mark)


_CoreLoader.yaml_implicit_resolvers = {}  # removes the forms of YAML 1.1
_CoreLoader.yaml_constructors = {}
for _kind, _form, _first in _FORMS:
    for _class in (_CoreLoader, _CoreDumper):
        _class.add_implicit_resolver(f"{_TAG}{_kind}", re.compile(f"(?:{_form})$"), _first)
for _kind, _construct in {
    "null": _CoreLoader.construct_word,
    "bool": _CoreLoader.construct_word,
    "int": _CoreLoader.construct_whole,
    "float": _CoreLoader.construct_number,
    "str": _CoreLoader.construct_yaml_str,
    "seq": _CoreLoader.construct_yaml_seq,
    "map": _CoreLoader.construct_yaml_map,
}.items():
    _CoreLoader.add_constructor(f"{_TAG}{_kind}", _construct)
_CoreLoader.add_constructor(None, _CoreLoader.construct_unknown)
