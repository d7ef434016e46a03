# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_verify and canary_info on real requests: they count what was sent, and the verdicts are right."""

from __future__ import annotations

import time
import typing as t

import pytest

from lab.traffic import Load

from .conftest import measure

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from support.direct import Direct
    from support.kube import Kube
    from support.lab import Lab

    from .conftest import Shop

pytestmark = pytest.mark.mesh

NINETY_TEN = {"v1": 90, "v2": 10}
TESTERS = {"v2": 10, "v3": 90}


@pytest.fixture(scope="module")
def split_shop(shop: Shop, direct: Direct) -> Shop:
    """The shop with 90 % of requests on v1 and 10 % on v2."""
    direct("weight", weights=NINETY_TEN)
    return shop


@pytest.fixture
def cohort(split_shop: Shop, direct: Direct) -> Iterator[None]:
    """Requests of testuser go to v2 and v3."""
    direct("header_route", headers={"end-user": "testuser"}, weights=TESTERS)
    yield
    direct("header_route", state="absent")


def prometheus(lab: Lab) -> str:
    return str(lab.facts["prometheus_url"])


def test_the_proxies_counters_are_the_requests_that_were_sent(direct: Direct, split_shop: Shop) -> None:
    """The load begins after the first reading and ends before the second, so both must agree to the request."""
    with split_shop.sidecar.background(Load(requests=3000, rate=150, limit=60)) as running:
        result = direct("verify", source="proxies", seconds=30, fail_on=["fail"])
        sent = running.result()
    assert sent.failed == 0
    assert result["source"] == "proxies"
    assert 0 < result["n"] <= sent.requests
    assert result["verdict"] in ("pass", "inconclusive"), result["msg"]
    assert result["errors"] == 0
    assert set(result["counts"]) <= set(NINETY_TEN)
    info = direct("info", measure="proxies", proxies=True, preflight=False)["services"][0]
    assert info["measured"]["seconds"] is None
    assert info["proxies"]["converged"] is True
    assert sum(one["measured"]["requests"] for one in info["versions"]) >= sent.requests


def test_counters_before_and_after_differ_by_exactly_what_was_sent(direct: Direct, split_shop: Shop) -> None:
    def counted() -> dict[str, int]:
        versions = direct("info", measure="proxies", proxies=False, preflight=False)["services"][0]["versions"]
        return {one["version"]: one["measured"]["requests"] for one in versions}

    before = counted()
    sent = measure(split_shop.sidecar, 1500)
    after = counted()
    assert {version: after[version] - before[version] for version in NINETY_TEN} == dict(sent.counts)


def test_prometheus_gives_the_same_verdict(direct: Direct, lab: Lab, kube: Kube, split_shop: Shop) -> None:
    began = time.time()
    sent = measure(split_shop.sidecar, 1500)

    def enough() -> dict[str, t.Any] | None:
        options = {"source": "prometheus", "prometheus_url": prometheus(lab), "seconds": 600, "fail_on": []}
        result = direct("verify", **options)
        return result if result["n"] >= sent.requests else None

    result = kube.wait_until(enough, 60, "Prometheus has scraped what was sent")
    assert result["verdict"] == "pass", result["msg"]
    assert result["power"] > 0.8

    def of_now() -> dict[str, t.Any] | None:
        """Return the service since these requests were sent: earlier ones had other weights."""
        options = {"prometheus_url": prometheus(lab), "window": int(time.time() - began) + 5, "preflight": False}
        found = direct("info", **options, proxies=False)["services"][0]
        return found if found["measured"]["requests"] >= sent.requests else None

    table = kube.wait_until(of_now, 60, "Prometheus tells of what was sent")
    assert table["measured"]["source"] == "prometheus"
    assert table["measured"]["requests"] >= sent.requests
    assert 0 < table["versions"][1]["measured"]["share"] < 20


def test_a_split_other_than_the_intended_one_fails_with_reasons(
    direct: Direct, lab: Lab, kube: Kube, split_shop: Shop
) -> None:
    before = kube.list("networking.istio.io/v1", "VirtualService", split_shop.namespace)
    measure(split_shop.sidecar, 1000)
    options = {"source": "prometheus", "prometheus_url": prometheus(lab), "seconds": 600}
    result = kube.wait_until(
        lambda: (found := direct.attempt("verify", weights={"v1": 50, "v2": 50}, **options))["n"] >= 500 and found,
        60,
        "Prometheus has scraped what was sent",
    )
    assert result["failed"] is True
    assert (result["verdict"], result["error_code"]) == ("fail", "split_fail")
    assert result["p_value"] < 1e-9
    assert any(reason.startswith("v2 answered") for reason in result["reasons"])
    assert result["causes"]
    assert kube.list("networking.istio.io/v1", "VirtualService", split_shop.namespace) == before


def test_without_requests_the_verdict_is_inconclusive(direct: Direct, split_shop: Shop) -> None:
    result = direct("verify", source="proxies", seconds=1, fails=True)
    assert (result["verdict"], result["n"], result["p_value"]) == ("inconclusive", 0, None)
    assert result["error_code"] == "split_inconclusive"
    assert direct("verify", source="proxies", seconds=1, fail_on=["fail"])["passed"] is False


def test_probes_through_the_gateway_see_what_a_browser_sees(direct: Direct, split_shop: Shop) -> None:
    probes = {
        "url": f"{split_shop.ingress_url}/productpage",
        "headers": {"Host": split_shop.host},
        "pattern": r"reviews-(v\d+)-",
        "requests": 1000,
        "timeout": 20,
    }
    result = direct("verify", probes=probes)
    assert (result["verdict"], result["n"], result["errors"]) == ("pass", 1000, 0)
    assert result["source"] == "probes"


@pytest.mark.usefixtures("cohort")
def test_probes_from_a_pod_prove_a_cohort(direct: Direct, kube: Kube, split_shop: Shop) -> None:
    """Few, for each of them starts an interpreter in the pod: just enough to tell a tenth from none at all."""
    (pod,) = kube.list("v1", "Pod", split_shop.namespace, selector="app=productpage")
    program = (
        "import urllib.request as u; r = u.Request('http://reviews:9080/reviews/0', headers={'end-user': 'testuser'});"
        "print(u.urlopen(r, timeout=20).read().decode())"
    )
    probes = {
        "pod": pod["metadata"]["name"],
        "container": pod["spec"]["containers"][0]["name"],
        "command": ["python3", "-c", program],
        "pattern": r"reviews-(v\d+)-",
        "requests": 80,
        "timeout": 60,
    }
    (name,) = direct("info", measure="none", proxies=False, preflight=False)["services"][0]["cohorts"]
    result = direct("verify", cohort=name, probes=probes, detect=50)
    assert result["verdict"] == "pass", result
    assert result["errors"] == 0
    assert set(result["counts"]) <= set(TESTERS)


@pytest.mark.usefixtures("cohort")
def test_cohorts_cannot_be_verified_by_counters(direct: Direct) -> None:
    (name,) = direct("info", measure="none", proxies=False, preflight=False)["services"][0]["cohorts"]
    assert "counters do not know" in direct("verify", cohort=name, source="proxies", fails=True)["msg"]
    assert f"has no cohort 'nobody'; there are: {name}" in direct("verify", cohort="nobody", fails=True)["msg"]


def test_status_prints_a_table_and_preflight_finds_no_error(split_shop: Shop, lab: Lab) -> None:
    played = split_shop.play("status", prometheus_url=prometheus(lab))
    lines = played.task("Display the status")["msg"]
    assert lines[0].startswith(f"reviews in {split_shop.namespace} | ")
    assert lines[1].split()[:4] == ["VERSION", "WEIGHT", "COHORTS", "READY"]
    assert [line.split()[:2] for line in lines[2:5]] == [["v1", "90%"], ["v2", "10%"], ["v3", "0%"]]
    assert played.changed == 0
    assert split_shop.play("preflight").changed == 0
