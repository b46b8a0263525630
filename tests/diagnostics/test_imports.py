"""The verdict loads quickly, because studies and reports need it and no tensors."""

import subprocess
import sys


def test_the_verdict_loads_without_torch() -> None:
    program = "import sys, poise.diagnostics.judge; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout == "False\n", result.stderr
