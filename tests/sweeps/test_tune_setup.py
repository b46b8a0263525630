"""Ctrl-C that a library loses."""

import signal
from contextlib import suppress

import pytest

from poise.sweeps.tune_setup import heard_interruption


def test_a_ctrl_c_that_somebody_swallows_ends_the_study_at_its_next_step() -> None:
    before = signal.getsignal(signal.SIGINT)
    with heard_interruption() as interruption:
        interruption.on_step_begin(0, [])
        with suppress(KeyboardInterrupt):  # as a callback from C that cannot pass it on
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interruption.on_step_begin(1, [])
    assert signal.getsignal(signal.SIGINT) is before


def test_a_ctrl_c_still_interrupts_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), heard_interruption():
        signal.raise_signal(signal.SIGINT)
