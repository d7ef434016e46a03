# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every way to say who belongs to a cohort, told by real requests: 5,000 of those who do, and some who nearly do."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from support.direct import ISTIO, Direct, essence

from lab.traffic import Load

from .conftest import assert_split, measure

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from support.kube import Kube
    from support.lab import Lab

    from .conftest import Shop

pytestmark = pytest.mark.mesh

INSIDE = {"v1": 10, "v3": 90}
OUTSIDE = {"v2": 100}
NUMBER, NUMBER_OUTSIDE = 5000, 200


@dataclasses.dataclass(frozen=True)
class Case:
    """asked: the options of canary_header_route. belong, others: headers and path of requests."""

    asked: Mapping[str, t.Any]
    belong: tuple[Mapping[str, str], ...]
    others: tuple[Mapping[str, str], ...]


CASES = {
    "header prefix": Case(
        {"headers": {"x-team": {"prefix": "qa-"}}}, ({"x-team": "qa-7"},), ({"x-team": "qa7"}, {"x-team": "QA-7"})
    ),
    "header regex": Case(
        {"headers": {"x-team": {"regex": "blue|green"}}}, ({"x-team": "green"},), ({"x-team": "greenish"}, {})
    ),
    "header present": Case({"headers": {"x-beta": {"present": True}}}, ({"x-beta": "no"},), ({"x-bet": "1"}, {})),
    "one header and not another": Case(
        {"headers": {"x-team": "qa", "x-old": {"absent": True}}},
        ({"x-team": "qa"},),
        ({"x-team": "qa", "x-old": "1"}, {}),
    ),
    "cookie": Case(
        {"cookies": {"beta": "yes"}},
        ({"Cookie": "a=1; beta=yes; z=2"},),
        ({"Cookie": "beta=yesterday"}, {"Cookie": "alphabeta=yes"}, {}),
    ),
    "path": Case({"path": {"exact": "/reviews/7"}}, ({":path": "/reviews/7"},), ({":path": "/reviews/77"}, {})),
    "method and header": Case(
        {"methods": ["GET", "HEAD"], "headers": {"x-team": "qa"}}, ({"x-team": "qa"},), ({"x-team": "dev"},)
    ),
    "another method": Case({"methods": ["POST"]}, (), ({},)),
    "query": Case(
        {"query": {"beta": "1"}}, ({":path": "/reviews/0?a=2&beta=1"},), ({":path": "/reviews/0?beta=12"}, {})
    ),
    "caller": Case({"source_labels": {"app": "productpage"}, "headers": {"x-team": "qa"}}, ({"x-team": "qa"},), ({},)),
    "another caller": Case({"source_labels": {"app": "details"}}, (), ({},)),
    "one of two": Case(
        {"match": [{"headers": {"x-team": "qa"}}, {"cookies": {"beta": {"present": True}}}]},
        ({"x-team": "qa"}, {"Cookie": "beta=0"}),
        ({"x-team": "dev"}, {}),
    ),
}


@pytest.fixture(scope="module")
def direct(shop: Shop, lab: Lab) -> Direct:
    """Runs commands in the shop's namespace; everybody is on v2, so that v1 and v3 are the cohorts' alone."""
    direct = Direct(lab.kubeconfig, shop.namespace)
    direct("weight", weights={"v2": 100}, force=["CAPACITY_BELOW_SHARE"])
    return direct


@pytest.fixture
def unchanged(kube: Kube, shop: Shop, direct: Direct) -> Iterator[None]:
    """The VirtualService is afterwards as it was before."""
    before = essence(kube.get(ISTIO, "VirtualService", "reviews", shop.namespace))
    yield
    direct("header_route", name="testers", state="absent")
    assert essence(kube.get(ISTIO, "VirtualService", "reviews", shop.namespace)) == before


def load(number: int, request: Mapping[str, str]) -> Load:
    headers = {name: value for name, value in request.items() if name != ":path"}
    return Load(requests=number, headers=headers, path=request.get(":path"))


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("name", CASES)
def test_a_cohort_gets_its_split_and_nobody_else_does(shop: Shop, direct: Direct, name: str) -> None:
    case = CASES[name]
    set_up = direct("header_route", name="testers", weights=INSIDE, **case.asked)
    assert set_up["convergence"]["converged"] is True
    for request in case.belong:
        seen = measure(shop.sidecar, load(NUMBER // len(case.belong), request))
        assert_split(seen, INSIDE, f"{name}: {request}")
    for request in case.others:
        assert_split(measure(shop.sidecar, load(NUMBER_OUTSIDE, request)), OUTSIDE, f"{name}, not meant: {request}")


def test_cohorts_stand_in_their_order_and_go_one_by_one(shop: Shop, direct: Direct) -> None:
    both = {"x-team": "qa", "x-beta": "1"}
    direct("header_route", name="beta", headers={"x-beta": "1"}, weights={"v1": 100})
    direct("header_route", name="qa", headers={"x-team": "qa"}, weights={"v3": 100}, order=50)
    assert_split(measure(shop.sidecar, load(500, both)), {"v3": 100}, "the lower order comes first")
    direct("header_route", name="qa", state="absent")
    assert_split(measure(shop.sidecar, load(500, both)), {"v1": 100}, "the other cohort is still there")
    direct("header_route", name="beta", state="absent")
    assert_split(measure(shop.sidecar, load(500, both)), {"v2": 100}, "none is left")
