"""Errors of Ray's client become one line with the fix."""

import pytest

from poise.cluster.address import ClusterAddress
from poise.cluster.client import explained
from poise.config.errors import PoiseError

CLUSTER = ClusterAddress("http://127.0.0.1:8265", "RAY_ADDRESS=http://127.0.0.1:8265")
ANSWER = "Request failed with status code 500: Traceback (most recent call last): …"


@pytest.mark.parametrize(
    "sign", ["Failed to get head node agent", "Agent info not found", "No available agent"]
)
def test_a_head_whose_agent_is_not_up_is_named(sign: str) -> None:
    with pytest.raises(PoiseError) as refused:
        _raise_from_client(f"{ANSWER} {sign}")
    assert "the agent of the head node, which runs jobs, is not up" in str(refused.value)
    assert "--dashboard-agent-listen-port" in str(refused.value)


def test_any_other_answer_is_told_as_it_is() -> None:
    with pytest.raises(PoiseError, match="does not answer as a Ray dashboard does: status 404"):
        _raise_from_client("status 404")


def _raise_from_client(answer: str) -> None:
    with explained(CLUSTER):
        raise RuntimeError(answer)
