"""How YAML is read: by version 1.2's core schema alone."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from poise.config.yaml_core import dump_yaml, parse_yaml, reason


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1:30", "1:30"),  # 90 in YAML 1.1
        ("0100", 100),  # 64 in YAML 1.1
        ("[010]", [10]),
        ("0o14", 12),
        ("0x1F", 31),
        ("1e-3", 0.001),  # text in YAML 1.1
        ("1E5", 1e5),
        (".5", 0.5),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("2024-01-01", "2024-01-01"),
        ("yes", "yes"),
        ("off", "off"),
        ("True", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("Null", None),
        ("-.inf", float("-inf")),
        ("{y: 1, n: 2, on: 3}", {"y": 1, "n": 2, "on": 3}),
    ],
)
def test_a_plain_value_is_what_the_core_schema_says(text: str, value: Any) -> None:
    read = parse_yaml(text)
    assert read == value and type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: 'a' is given twice, first in line 1; keep one"),
        ("a: 1\n'a': 3", "line 2: 'a' is given twice"),
        ("1: 2", "line 1: the key 1 is not text; put it in quotes"),
        ("true: 2", "line 1: the key true is not text"),
        ("? [a]\n: 1", "line 1: the key is not text"),
        ("[" * 2000, "line 1: more than 40 lists and groups inside each other"),
        ("{a: " * 2000, "line 1: more than 40 lists and groups inside each other"),
        ("- " * 2000 + "1", "line 1: more than 40 lists and groups inside each other"),
        ("&a [1, *a]", "line 1: an alias stands for a value that contains the alias"),
        ("*a", "line 1: found undefined alias 'a'"),
        ("1e999", "line 1: 1e999 is too large for a number"),
        ("9" * 5000, "line 1: a number of 5000 digits is too long"),
        ("!!int '1:30'", "line 1: '1:30' is no int"),
        ("!!bool yes", "line 1: 'yes' is no bool"),
        ("!!python/name:os.system x", "has no meaning here; leave it out"),
        ("a: [1", "line 1: expected ',' or ']', but got '<stream end>'"),
        ("a\n---\nb", "line 2: but found another document"),
    ],
)
def test_what_cannot_be_read_is_one_line_with_its_place(text: str, why: str) -> None:
    with pytest.raises(yaml.YAMLError) as error:
        parse_yaml(text)
    line = reason(error.value)
    assert why in line and "\n" not in line


def test_aliases_stand_for_their_value_until_they_stand_for_too_many() -> None:
    assert parse_yaml("a: &a [1, 2]\nb: *a") == {"a": [1, 2], "b": [1, 2]}
    bomb = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "\n".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)
    )
    with pytest.raises(yaml.YAMLError) as error:
        parse_yaml(bomb)
    assert "more than 100,000 values, aliases written out" in reason(error.value)


TEXTS = st.one_of(
    st.text(st.characters(categories=("L", "N", "P", "S"))),
    st.from_regex(r"[-+0-9a-fox_.:eE~]{1,8}", fullmatch=True),
    st.sampled_from(["yes", "08", "0o14", "1e-3", "1:30", "<<", "=", "0x1F", ".inf", "null"]),
)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXTS
)  # fmt: skip
TREES = st.recursive(
    LEAVES, lambda each: st.one_of(st.lists(each), st.dictionaries(TEXTS, each)), max_leaves=8
)


@pytest.mark.slow
@given(TREES)
def test_what_is_written_is_read_back_as_it_was(tree: Any) -> None:
    # PyYAML writes the texts `1e-3` and `08` without quotes: YAML 1.1 has them for texts.
    assert parse_yaml(dump_yaml(tree)) == tree
