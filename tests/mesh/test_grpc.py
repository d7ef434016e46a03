# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""gRPC on the mesh: GRPCRoutes split calls exactly, and versions are judged by the status of their calls.

Every answer has HTTP status 200. v1 and v2 answer OK, v3 INTERNAL and v4 NOT_FOUND.
"""

from __future__ import annotations

import secrets
import typing as t

import pytest
from scipy import stats
from support.direct import ISTIO, Direct, essence
from support.greeter import API, METHOD, Greeter, grpc_route
from support.namespaces import LABELS

from .conftest import ALPHA, FORCE

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from support.kube import Kube, Object
    from support.lab import Lab

pytestmark = pytest.mark.mesh

STATUSES = {"v1": 0, "v2": 0, "v3": 13, "v4": 5}
NUMBER = 5000
RATE = 120


@pytest.fixture(scope="module")
def greeter(lab: Lab, kube: Kube) -> Iterator[Greeter]:
    namespace = f"grpc-{secrets.token_hex(4)}"
    kube.create_namespace(namespace, labels=LABELS)
    try:
        yield Greeter(kube, lab.kubeconfig, namespace, STATUSES)
    finally:
        kube.delete_namespace(namespace)


@pytest.fixture
def run(lab: Lab, greeter: Greeter) -> t.Callable[..., t.Any]:
    direct = Direct(lab.kubeconfig, greeter.namespace)

    def call(command: str, **options: t.Any) -> t.Any:
        force = {"force": FORCE} if command in ("weight", "header_route") else {}
        return direct(command, service="greeter", **force, **options)

    return call


@pytest.fixture
def route(kube: Kube, greeter: Greeter) -> Iterator[None]:
    """A GRPCRoute with all calls on v1."""
    kube.apply(grpc_route(v1=100, v2=0, v3=0, v4=0), namespace=greeter.namespace)
    kube.wait_until(lambda: set(greeter.call(20)) == {"v1"}, 30, "the route is in effect")
    yield
    kube.delete(API, "GRPCRoute", "greeter", greeter.namespace)


def named(**weights: int) -> dict[str, int]:
    return {f"greeter-{version}": weight for version, weight in weights.items()}


def assert_split(counts: Mapping[str, int], weights: Mapping[str, int]) -> None:
    """Every version's calls are within the exact binomial bounds of its weight; no other version answers."""
    assert set(counts) <= {version for version, weight in weights.items() if weight}, counts
    total = sum(counts.values())
    for version, weight in weights.items():
        low, high = stats.binom.interval(1 - ALPHA, total, weight / 100)
        assert low <= counts.get(version, 0) <= high, f"{version}: {counts}, {low:.0f} to {high:.0f} would fit"


def stored(kube: Kube, greeter: Greeter) -> Object:
    found = essence(kube.get(API, "GRPCRoute", "greeter", greeter.namespace))
    assert found
    return {key: value for key, value in found.items() if key != "status"}


@pytest.mark.usefixtures("route")
def test_weights_split_calls_exactly_and_are_restored(kube: Kube, greeter: Greeter, run: t.Any) -> None:
    before = stored(kube, greeter)
    changed = run("weight", weights=named(v1=90, v2=10))
    assert (changed["route_api"], changed["convergence"]["converged"]) == ("gateway", True)
    assert_split(greeter.call(NUMBER), {"v1": 90, "v2": 10})
    assert run("weight", weights=named(v1=90, v2=10))["changed"] is False
    (seen,) = run("info")["services"]
    assert {one["version"]: one["weight"] for one in seen["versions"] if one["weight"]} == named(v1=90, v2=10)
    assert run("weight", state="absent")["convergence"]["converged"] is True
    assert_split(greeter.call(200), {"v1": 100})
    assert stored(kube, greeter) == before


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize(
    ("match", "inside", "outside"),
    [
        ({"headers": {"end-user": "testuser"}}, {"end_user": "testuser"}, {"end_user": "other"}),
        ({"path": {"exact": "/shop.v1.Greeter/List"}}, {"method": "/shop.v1.Greeter/List"}, {"method": METHOD}),
        ({"path": {"prefix": "/shop.v1.Admin/"}}, {"method": "/shop.v1.Admin/Get"}, {"method": METHOD}),
    ],
    ids=["header", "method", "service"],
)
def test_a_cohort_of_calls_is_split_and_other_calls_are_not(
    kube: Kube, greeter: Greeter, run: t.Any, match: t.Any, inside: dict[str, str], outside: dict[str, str]
) -> None:
    before = stored(kube, greeter)
    routed = run("header_route", name="some", **match, weights=named(v2=20, v4=80))
    assert routed["convergence"]["converged"] is True
    assert_split(greeter.call(NUMBER, **inside), {"v2": 20, "v4": 80})
    assert_split(greeter.call(500, **outside), {"v1": 100})
    run("header_route", name="some", state="absent")
    assert stored(kube, greeter) == before


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize(
    ("canary", "failed", "words"),
    [("v3", True, "statistically significant"), ("v4", False, "gRPC status 5 more often than stable")],
)
def test_a_canary_whose_calls_fail_with_http_200_does_not_pass(
    greeter: Greeter, run: t.Any, canary: str, failed: bool, words: str
) -> None:
    run("weight", weights=named(v1=80, **{canary: 20}))
    with greeter.background(60, RATE):
        seen = run("analysis", stable="greeter-v1", canary=f"greeter-{canary}", watch=20)
    assert seen["verdict"] == "fail", seen
    assert seen["source"] == "proxies"
    assert words in " ".join(seen["reasons"])
    numbers = seen["numbers"]["canary"]
    assert numbers["errors"] == (numbers["requests"] if failed else 0)
    assert seen["numbers"]["stable"]["errors"] == 0


@pytest.mark.usefixtures("route")
def test_which_statuses_fail_is_an_option(greeter: Greeter, run: t.Any) -> None:
    run("weight", weights=named(v1=80, v4=20))
    errors = {"name": "errors", "kind": "errors", "critical": True}
    given = {"stable": "greeter-v1", "canary": "greeter-v4", "watch": 5, "metrics": [errors]}
    with greeter.background(60, RATE):
        assert run("analysis", **given, grpc_failures=["NOT_FOUND"])["numbers"]["canary"]["errors"] > 0
        accepted = [errors, {"name": "codes", "kind": "codes", "ignore": ["grpc 5"]}]
        assert run("analysis", **{**given, "metrics": accepted})["verdict"] == "pass"


QUICK: dict[str, t.Any] = {
    "state": "promoted",
    "steps": [20, 50],
    "pause": 3,
    "deadline": 60,
    "capacity": False,
    "retire_after": 1,
    "drain": 1,
    "must_promote": False,
    "force": FORCE,
}


def subsets(name: str) -> list[Object]:
    destinations = [{"destination": {"host": name, "subset": one}, "weight": 100 * (one == "v1")} for one in STATUSES]
    labels = [{"name": one, "labels": {"version": one}} for one in STATUSES]
    return [
        {
            "apiVersion": ISTIO,
            "kind": "DestinationRule",
            "metadata": {"name": name},
            "spec": {"host": name, "subsets": labels},
        },
        {
            "apiVersion": ISTIO,
            "kind": "VirtualService",
            "metadata": {"name": name},
            "spec": {"hosts": [name], "http": [{"route": destinations}]},
        },
    ]


@pytest.fixture(params=["gateway", "istio"])
def prefix(request: pytest.FixtureRequest, kube: Kube, greeter: Greeter) -> Iterator[str]:
    """What comes before a version's name: with a GRPCRoute it is a Service, with a VirtualService a subset."""
    objects = [grpc_route(v1=100, v2=0, v3=0)] if request.param == "gateway" else subsets("greeter")
    kube.apply(*objects, namespace=greeter.namespace)
    kube.wait_until(lambda: set(greeter.call(20)) == {"v1"}, 30, "the route is in effect")
    yield "greeter-" if request.param == "gateway" else ""
    for one in objects:
        kube.delete(one["apiVersion"], one["kind"], "greeter", greeter.namespace)
    kube.delete("v1", "ConfigMap", "canary-rollout-greeter", greeter.namespace)


def test_a_bad_version_is_rolled_back_and_a_good_one_promoted(greeter: Greeter, run: t.Any, prefix: str) -> None:
    with greeter.background(120, RATE) as load:
        ended = run("rollout", stable=f"{prefix}v1", canary=f"{prefix}v3", **QUICK)
    assert ended["run"]["phase"] == "rolled_back", ended["run"]
    seen = load.result()
    assert 0 < seen["v3"] < 0.5 * seen["v1"]
    assert seen.keys() <= {"v1", "v3"}, "every call got its message"
    assert_split(greeter.call(300), {"v1": 100})
    with greeter.background(120, RATE) as load:
        ended = run("rollout", stable=f"{prefix}v1", canary=f"{prefix}v2", **QUICK)
    assert ended["run"]["phase"] == "promoted", ended["run"]
    assert load.result().keys() == {"v1", "v2"}, "no call was lost"
    assert_split(greeter.call(300), {"v2": 100})
