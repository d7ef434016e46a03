# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bookinfo on the lab's mesh, restored after each test file, and the bounds for its traffic."""

from __future__ import annotations

import typing as t

import pytest
from scipy import stats
from support.direct import Direct
from support.rollouts import Stage
from support.shop import Shop, opened
from support.shop_state import ShopState

from lab.traffic import Client, Load, Measurement

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from support.kube import Kube
    from support.lab import Lab

# Probability that a correct split fails a test: about 40 comparisons a run, so less than one run in 200.
ALPHA = 1e-4
FORCE = ["CAPACITY_BELOW_SHARE"]


@pytest.fixture(scope="session")
def deployed_shop(lab: Lab, kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, ShopState]]:
    """Bookinfo as the playbook deploys it: three versions of reviews, all traffic on v1, no autoscalers."""
    with opened(lab, kube, tmp_path_factory.mktemp("shop")) as shop:
        yield shop, ShopState(shop, kube, lab.kubeconfig)


@pytest.fixture(scope="module")
def shop(deployed_shop: tuple[Shop, ShopState]) -> Iterator[Shop]:
    """The shop as it was deployed; a test file may leave it in any state."""
    shop, state = deployed_shop
    yield shop
    state.restore()


@pytest.fixture(scope="module")
def direct(shop: Shop, lab: Lab) -> Direct:
    """Runs commands of the modules in the shop's namespace, in this process."""
    return Direct(lab.kubeconfig, shop.namespace)


@pytest.fixture
def all_on_v1(shop: Shop, direct: Direct) -> Shop:
    """The shop with all requests on v1 and no cohort."""
    direct("header_route", state="absent")
    # One pod may get three times the requests it had: the load of the previous test has ended.
    direct("weight", weights={"v1": 100}, force=FORCE)
    return shop


@pytest.fixture(scope="module")
def module_stage(shop: Shop, kube: Kube, direct: Direct) -> Stage:
    return Stage(shop, kube, direct)


@pytest.fixture
def stage(module_stage: Stage) -> Stage:
    """The shop for rollouts: all requests on v2, no rollout and no record of one."""
    module_stage.reset()
    return module_stage


def measure(place: Client, load: Load | int, user: str = "") -> Measurement:
    """Send the load, or a number of requests; all must be answered."""
    if isinstance(load, int):
        load = Load(requests=load, user=user)
    seen = place.measure(load)
    sent = f"{place.name}: {seen.requests} of {load.requests} requests were sent ({seen.ended_by})"
    assert seen.requests == load.requests, sent
    assert seen.failed == 0, f"{place.name}: {seen.failed} requests failed: {seen.reasons}"
    return seen


def assert_split(seen: Measurement, weights: Mapping[str, float], what: str) -> None:
    """Every version's count is within the exact binomial bounds of its weight; no other version answers."""
    others = set(seen.counts) - {version for version, weight in weights.items() if weight}
    assert not others, f"{what}: {others} should get nothing, got {seen.counts}"
    for version, weight in weights.items():
        low, high = stats.binom.interval(1 - ALPHA, seen.answered, weight / 100)
        count = seen.counts.get(version, 0)
        assert low <= count <= high, (
            f"{what}: {version} got {count} of {seen.answered}, {low:.0f} to {high:.0f} would fit"
        )
