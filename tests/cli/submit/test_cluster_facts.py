"""Facts that a small job collects on a real cluster."""

import pytest

from poise.cli.submit.cluster_facts import look_for, view_from
from poise.cli.submit.preflight import judge
from poise.config.errors import PoiseError

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.mark.usefixtures("ray_cluster")
def test_a_folder_that_the_head_node_cannot_use_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POISE_HOME", "/proc/nowhere")
    view = view_from(look_for({"study": None}))
    with pytest.raises(PoiseError, match="POISE_HOME=/proc/nowhere: cannot be used on the head"):
        list(judge(view, None))
