"""Looks of outcomes and of curves. A symbol or a dash pattern always accompanies a colour.

In: the name of an outcome, or the number of a curve. Out: the colour, symbol and word of an
outcome, or the colour, dash pattern and symbol of a curve. Next: the page's sections.

The colours are those of Okabe and Ito (Color Universal Design, 2008). People with colour blindness
can distinguish these colours.
"""

from dataclasses import dataclass

from poise.diagnostics.judge import VerdictKind


@dataclass(frozen=True)
class Look:
    """Colour, symbol and word for an outcome."""

    color: str
    glyph: str
    word: str


@dataclass(frozen=True)
class Stroke:
    """Colour, dash pattern and symbol for a curve."""

    color: str
    dash: str
    symbol: str


_LOOKS: dict[str, Look] = {
    VerdictKind.HEALTHY: Look("#66c5ab", "✓", "healthy"),
    f"{VerdictKind.HEALTHY} (stopped early)": Look("#cfe8e0", "◌", "stopped early"),
    VerdictKind.UNIFORM: Look("#9ad2f2", "○", "uniform"),
    VerdictKind.SINGLE_PROTOTYPE: Look("#e69e66", "●", "single prototype"),
    VerdictKind.PARTIAL_PROTOTYPES: Look("#f0c566", "◐", "partial prototypes"),
    VerdictKind.DIMENSIONAL: Look("#e0afca", "▱", "dimensional"),
    VerdictKind.PREDICTS_MEAN: Look("#7fb8d8", "≈", "predicts the mean"),
    VerdictKind.STUCK: Look("#f6ef8e", "≡", "stuck at ln K"),
    VerdictKind.AT_LN_K: Look("#f4f1b5", "⊤", "loss rests at ln K"),
    VerdictKind.NEAR_ZERO: Look("#e8b9a0", "↓", "loss fell to 0"),
    VerdictKind.SWINGING: Look("#d9b38c", "↕", "swings above ln K"),
    VerdictKind.UNMOVED_TEACHER: Look("#c9c3e6", "⊥", "teacher does not move"),
    VerdictKind.COPIED_TEACHER: Look("#b8d8a8", "⧉", "teacher is the student"),
    VerdictKind.FORGETTING: Look("#d4a5a5", "↘", "forgetting"),
    VerdictKind.DIVERGED: Look("#8c8c8c", "△", "diverged"),
    VerdictKind.UNDECIDED: Look("#d0d0d0", "?", "undecided"),
    VerdictKind.CANNOT_TELL: Look("#e0e0e0", "–", "cannot tell"),
    "failed": Look("#bdbdbd", "×", "failed"),
}
"""Maps each outcome to its colour, symbol and word. The colours are lighter than those of Okabe and
Ito, so that dark text is readable.
"""

_OTHER = Look("#e8e8e8", "·", "")

_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "cross", "star")


def look(outcome: str) -> Look:
    """Returns the colour, symbol and word of an outcome.

    An unknown outcome has a neutral colour and its own name.
    """
    kind = outcome.partition(" (")[0]
    known = _LOOKS.get(outcome) or _LOOKS.get(kind, _OTHER)
    return known if known.word else Look(known.color, known.glyph, kind)


def marked(outcome: str) -> str:
    """Writes an outcome with its symbol: ``✓ healthy``."""
    return f"{look(outcome).glyph} {outcome}"


def stroke(index: int) -> Stroke:
    """Returns colour, dash pattern and symbol of the curve with this index.

    The first 210 indices have different results.
    """
    colors, dashes, symbols = len(_COLORS), len(_DASHES), len(_SYMBOLS)
    return Stroke(_COLORS[index % colors], _DASHES[index % dashes], _SYMBOLS[index % symbols])


def faint(color: str) -> str:
    """Returns a transparent version of a colour, for the band behind a curve."""
    red, green, blue = (int(color[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.16)"
