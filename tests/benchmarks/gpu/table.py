"""Table of all figures, in Markdown."""

from collections.abc import Iterator
from typing import Any

SPEED_GOAL = 2.5
MFU_GOAL = 0.5
DIAGNOSTICS_GOAL = 0.03

Told = dict[str, Any]


def report(told: list[Told], taken_s: float, is_smoke_test: bool) -> str:
    """Makes the table with its heading, the other costs, the goals and the failures.

    Args:
        told: everything that the parts told, in order.
        taken_s: time of the whole benchmark.
        is_smoke_test: whether models were small, so that the figures mean nothing.
    """
    machine, steps = _of("machine", told)[0], _of("step", told)
    blocks = [
        _heading(machine, taken_s, is_smoke_test),
        _steps_table(steps, machine),
        "\n".join(_other_costs(told, steps)),
        "\n".join(_goals(steps, machine)),
    ]
    failures = [f"- Failed: {each['what']}: {each['why']}" for each in _of("failure", told)]
    return "\n\n".join(block for block in [*blocks, "\n".join(failures)] if block)


def _of(kind: str, told: list[Told]) -> list[Told]:
    return [each for each in told if each["kind"] == kind]


def _heading(machine: Told, taken_s: float, is_smoke_test: bool) -> str:
    peak = machine["peak_flops"]
    known = f"peak {peak / 1e12:.0f} TFLOP/s" if peak else "its peak is not known, so no MFU"
    lines = [
        f"{machine['device']}, {machine['precision']}, {known}; a matrix product reaches "
        f"{machine['matmul_flops'] / 1e12:.3g} TFLOP/s. torch {machine['torch']}, CUDA "
        f"{machine['cuda']}, timm {machine['timm']}, Python {machine['python']}; {taken_s:.0f} s."
    ]
    if is_smoke_test:
        lines.insert(0, "A smoke test on small models: these figures mean nothing.")
    return "\n".join(lines)


def _steps_table(steps: list[Told], machine: Told) -> str:
    columns = (
        "Step", "images", "ms", "images/s", "× published", "MFU", "counted / peak", "peak GiB",
        "first step s",
    )  # fmt: skip
    rows = [
        [
            f"{each['part']}, {each['side']}",
            str(each["images"]),
            f"{each['s_per_step'] * 1e3:.2f}",
            f"{each['images'] / each['s_per_step']:.0f}",
            _number(speed_up(each, steps), "{:.2f}"),
            _number(utilisation(each, machine["peak_flops"]), "{:.1%}"),
            _number(_counted_share(each, machine["peak_flops"]), "{:.1%}"),
            _number(each["peak_bytes"] and each["peak_bytes"] / 2**30, "{:.2f}"),
            f"{each['first_step_s']:.1f}",
        ]
        for each in steps
    ]
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: float | None, form: str) -> str:
    return "n/a" if value is None else form.format(value)


def speed_up(step: Told, steps: list[Told]) -> float | None:
    """Returns images per second over those of the published step with its own batch."""
    published = [
        each for each in steps if (each["part"], each["side"]) == (step["part"], "published")
    ]
    if not published:
        return None
    base = published[0]["images"] / published[0]["s_per_step"]
    return float(step["images"] / step["s_per_step"] / base)


def utilisation(step: Told, peak_flops: float | None) -> float | None:
    """Returns model FLOPs per second over the device's peak (MFU)."""
    return step["model_flops"] / step["s_per_step"] / peak_flops if peak_flops else None


def _counted_share(step: Told, peak_flops: float | None) -> float | None:
    if not peak_flops or step["counted_flops"] is None:
        return None
    return float(step["counted_flops"] / step["s_per_step"] / peak_flops)


def _other_costs(told: list[Told], steps: list[Told]) -> Iterator[str]:
    for each in _of("photometry", told):
        rate = each["least_bytes"] / each["s_per_batch"] / 1e9
        yield (
            f"- Colours of {each['images']} images on the device: {each['s_per_batch'] * 1e3:.2f} "
            f"ms, {each['images'] / each['s_per_batch']:.0f} images/s, {rate:.0f} GB/s of the "
            "bytes that must be read and written" + _share_of_step(each["s_per_batch"], steps)
        )
    for each in _of("diagnostics", told):
        yield (
            f"- Diagnostics: a step takes {each['s_without'] * 1e3:.1f} ms without and "
            f"{each['s_with'] * 1e3:.1f} ms with them; every {each['every_steps']} steps this is "
            f"{each['share']:.2%} of training time (quartiles {each['low']:.2%} to "
            f"{each['high']:.2%}; the goal is at most {DIAGNOSTICS_GOAL:.0%})"
        )
    for part in dict.fromkeys(each["part"] for each in steps):
        yield from _memory_saved(part, [each for each in steps if each["part"] == part])
    for each in _of("note", told):
        yield f"- {each['what']}: {each['text']}"
    for each in _of("kernels", told):
        shares = ", ".join(f"`{name}` {share:.1%}" for name, share in each["shares"].items())
        yield f"- Slowest kernels of our uncompiled DINO ViT-S/16 step: {shares}"


def _share_of_step(seconds: float, steps: list[Told]) -> str:
    ours = [each for each in steps if (each["part"], each["side"]) == ("DINO ViT-S/16", "ours")]
    return f"; {seconds / ours[0]['s_per_step']:.1%} of our DINO ViT-S/16 step" if ours else ""


def _memory_saved(part: str, steps: list[Told]) -> Iterator[str]:
    by_side = {each["side"]: each for each in reversed(steps)}  # the first of each side
    kept, recomputed = by_side.get("ours"), by_side.get("ours, activations recomputed")
    if kept and recomputed and kept["peak_bytes"]:
        yield (
            f"- {part}, activation checkpointing: "
            f"{kept['peak_bytes'] / recomputed['peak_bytes']:.2f}× less memory in "
            f"{recomputed['s_per_step'] / kept['s_per_step']:.2f}× the time"
        )


def _goals(steps: list[Told], machine: Told) -> Iterator[str]:
    """Says for every workload whether its best step meets the goals."""
    for part in dict.fromkeys(each["part"] for each in steps):
        ours = [each for each in steps if each["part"] == part and each["side"] != "published"]
        for what, goal, form, figures in (
            ("images per second over the published step", SPEED_GOAL, "{:.2f}×",
             [speed_up(each, steps) for each in ours]),
            ("MFU", MFU_GOAL, "{:.1%}",
             [utilisation(each, machine["peak_flops"]) for each in ours]),
        ):  # fmt: skip
            best = max((figure for figure in figures if figure is not None), default=None)
            if best is not None:
                verdict = "met" if best >= goal else "missed"
                yield (f"- Goal {form.format(goal)} {what}, {part}: {form.format(best)}, {verdict}")
