"""Every address that people have leads to the dashboard, or to one clear error."""

import socket

import pytest

from poise.cluster.address import check_listens, dashboard_url, find_cluster
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


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(PoiseError, match="contains a name or a password") as raised:
        find_cluster("http://me:" + "hunter2@head:8265")
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("written", ["ray://hunter2@head:10001", "http://hunter2@head:8265"])
def test_a_token_in_the_address_of_a_cluster_to_join_is_refused_and_not_repeated(
    written: str,
) -> None:
    with pytest.raises(PoiseError, match="contains a name or a password") as raised:
        check_listens(written, f"RAY_ADDRESS={written}")
    assert "hunter2" not in str(raised.value)


def test_the_option_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://other:10001")
    assert find_cluster("http://head:8265").url == "http://head:8265"
    assert find_cluster(None).source == "RAY_ADDRESS=ray://other:10001"


@pytest.mark.parametrize(
    ("written", "advice"),
    [
        ("http://head:8265", "is a dashboard, where `poise submit` sends jobs"),
        ("head", "is not a cluster's address; give HOST:6379"),
        ("head:port", "is not a cluster's address"),
        ("ssh://head:22", "is not a cluster's address"),
        ("ray://", "is not a cluster's address"),
    ],
)
def test_an_address_that_cannot_be_joined_is_named_with_the_right_form(
    written: str, advice: str
) -> None:
    with pytest.raises(PoiseError) as raised:
        check_listens(written, f"RAY_ADDRESS={written}")
    assert str(raised.value).startswith(f"RAY_ADDRESS={written}: {advice}")


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_a_cluster_that_is_gone_is_named_before_ray_waits_for_it(form: str) -> None:
    """Ray waited for 150 s without a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = form.format(listening.getsockname()[1])
        check_listens(address, "here")
    with pytest.raises(PoiseError, match=r"here: no Ray cluster answers there .*refused.*; start"):
        check_listens(address, "here")
