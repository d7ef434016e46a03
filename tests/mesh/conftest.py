# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bookinfo on the lab's mesh, put back after each file of tests, and the bounds its traffic must keep."""

from __future__ import annotations

import json
import typing as t

import pytest
from scipy import stats
from support.direct import Direct
from support.rollouts import Stage
from support.shop import Shop, opened
from support.shop_state import ShopState

from lab.traffic import Load, Measurement, Place

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from support.kube import Kube
    from support.lab import Lab

# How often a right split may fail a test: with some forty comparisons a run, once in more than 200 runs.
ALPHA = 1e-4


@pytest.fixture(scope="session")
def opened_shop(lab: Lab, kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, ShopState]]:
    """Bookinfo as the playbook deploys it: three versions of reviews, all traffic on v1, no autoscalers."""
    with opened(lab, kube, tmp_path_factory.mktemp("shop")) as shop:
        yield shop, ShopState(shop, kube, lab.kubeconfig)


@pytest.fixture(scope="module")
def shop(opened_shop: tuple[Shop, ShopState]) -> Iterator[Shop]:
    """The shop as it was opened; a file of tests may leave it as it likes."""
    shop, state = opened_shop
    yield shop
    state.restore()


@pytest.fixture
def everybody_on_v1(shop: Shop) -> Shop:
    """The shop as it was deployed, whatever the test before has done to it."""
    shop.cohort()
    # One pod may get three times the requests it had: the test before has ended, and its load with it.
    shop.play("shift", weights={"v1": 100}, force=["CAPACITY_BELOW_SHARE"])
    return shop


@pytest.fixture(scope="module")
def whole_stage(shop: Shop, kube: Kube, lab: Lab) -> Stage:
    return Stage(shop, kube, Direct(lab.kubeconfig, shop.namespace))


@pytest.fixture
def stage(whole_stage: Stage) -> Iterator[Stage]:
    """The shop for rollouts: all requests on v2, no rollout open; afterwards no version is broken."""
    whole_stage.reset()
    yield whole_stage
    if any("FAULT" in json.dumps(pod["spec"]) for pod in whole_stage.pods("v3")):
        whole_stage.break_version("v3", FAULT_ERROR_RATE=None, FAULT_DELAY_MS=None)


def measure(place: Place, load: Load | int, user: str = "") -> Measurement:
    """Send the load, or a number of requests, all of which must be answered."""
    if isinstance(load, int):
        load = Load(requests=load, user=user)
    seen = place.measure(load)
    sent = f"{place.name}: {seen.requests} of {load.requests} requests were sent ({seen.ended_by})"
    assert seen.requests == load.requests, sent
    assert seen.failed == 0, f"{place.name}: {seen.failed} requests failed: {seen.reasons}"
    return seen


def assert_split(seen: Measurement, weights: Mapping[str, float], what: str) -> None:
    """Every version's count lies within the exact binomial bounds of its weight; nobody else answers."""
    strangers = set(seen.counts) - {version for version, weight in weights.items() if weight}
    assert not strangers, f"{what}: {strangers} should get nothing, got {seen.counts}"
    for version, weight in weights.items():
        low, high = stats.binom.interval(1 - ALPHA, seen.answered, weight / 100)
        count = seen.counts.get(version, 0)
        assert low <= count <= high, (
            f"{what}: {version} got {count} of {seen.answered}, {low:.0f} to {high:.0f} would fit"
        )
