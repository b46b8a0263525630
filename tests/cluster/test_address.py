"""Every address that people have leads to the dashboard, or to one clear error."""

import pytest

from poise.cluster.address import dashboard_url, find_cluster
from poise.config.errors import PoiseError


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("http://head:8265", "http://head:8265"),
        ("http://head:8265/", "http://head:8265"),
        ("https://ray.example.org/team", "https://ray.example.org/team"),
        ("ray://head:10001", "http://head:8265"),
        ("head:6379", "http://head:8265"),
        ("10.0.0.7", "http://10.0.0.7:8265"),
        ("head:9000", "http://head:9000"),
        ("[::1]:6379", "http://[::1]:8265"),
        ("auto", "http://127.0.0.1:8265"),
    ],
)
def test_an_address_becomes_the_dashboards_url(written: str, url: str) -> None:
    assert dashboard_url(written, "here") == url


@pytest.mark.parametrize("written", ["local", "ssh://head", "http://", "head:port", "://"])
def test_an_address_that_takes_no_jobs_is_named(written: str) -> None:
    with pytest.raises(PoiseError, match=r"^here: not the address of a cluster"):
        dashboard_url(written, "here")


def test_the_option_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://other:10001")
    assert find_cluster("http://head:8265").url == "http://head:8265"
    assert find_cluster(None).source == "RAY_ADDRESS=ray://other:10001"
