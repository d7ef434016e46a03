# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every kind of match for a cohort, by real requests: those that match, and those that almost match."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from support.direct import ISTIO, essence

from lab.traffic import Load

from .conftest import FORCE, assert_split, measure

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from support.direct import Direct
    from support.kube import Kube

    from .conftest import Shop

pytestmark = pytest.mark.mesh

INSIDE = {"v1": 10, "v3": 90}
OUTSIDE = {"v2": 100}
# A match is right or wrong for every request, so few would do. 600 also tell a share of 10 % from one of 20 %, with
# more than 99.9 % certainty; finer shares of a cohort are measured in test_story.py.
NUMBER, NUMBER_OUTSIDE = 600, 100


@dataclasses.dataclass(frozen=True)
class Case:
    """options: of canary_header_route. matching, others: headers and path of requests."""

    options: Mapping[str, t.Any]
    matching: tuple[Mapping[str, str], ...]
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


@pytest.fixture(scope="module", autouse=True)
def all_on_v2(direct: Direct) -> None:
    """All other requests go to v2, so that v1 and v3 answer the cohorts alone."""
    direct("weight", weights={"v2": 100}, force=FORCE)


@pytest.fixture
def unchanged(kube: Kube, shop: Shop, direct: Direct, all_on_v2: None) -> Iterator[None]:
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
def test_a_cohort_gets_its_split_and_other_requests_do_not(shop: Shop, direct: Direct, name: str) -> None:
    case = CASES[name]
    written = direct("header_route", name="testers", weights=INSIDE, **case.options)
    assert written["convergence"]["converged"] is True
    for request in case.matching:
        seen = measure(shop.sidecar, load(NUMBER, request))
        assert_split(seen, INSIDE, f"{name}: {request}")
    for request in case.others:
        assert_split(measure(shop.sidecar, load(NUMBER_OUTSIDE, request)), OUTSIDE, f"{name}, no match: {request}")


def test_cohorts_match_in_their_order_and_are_removed_one_by_one(shop: Shop, direct: Direct) -> None:
    both = {"x-team": "qa", "x-beta": "1"}
    direct("header_route", name="beta", headers={"x-beta": "1"}, weights={"v1": 100})
    direct("header_route", name="qa", headers={"x-team": "qa"}, weights={"v3": 100}, order=50)
    assert_split(measure(shop.sidecar, load(100, both)), {"v3": 100}, "the lower order comes first")
    direct("header_route", name="qa", state="absent")
    assert_split(measure(shop.sidecar, load(100, both)), {"v1": 100}, "the other cohort is still there")
    direct("header_route", name="beta", state="absent")
    assert_split(measure(shop.sidecar, load(100, both)), {"v2": 100}, "no cohort is left")
