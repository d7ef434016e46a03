# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Twenty shifts from nothing to everything and back, each with a new subset: no request is lost."""

from __future__ import annotations

import typing as t

import pytest
from support.direct import Direct

from lab.traffic import Load

if t.TYPE_CHECKING:
    from support.lab import Lab

    from .conftest import Shop

pytestmark = pytest.mark.mesh

ROUNDS = 10  # each shifts there and back
RATE = 260
REQUESTS = 50_000
FORCE = ["CAPACITY_BELOW_SHARE"]


def test_fifty_thousand_requests_through_twenty_shifts(lab: Lab, shop: Shop) -> None:
    direct = Direct(lab.kubeconfig, shop.namespace)
    load = Load(requests=REQUESTS, rate=RATE, connections=6, limit=400)
    with shop.sidecar.background(load) as running:
        for _round in range(ROUNDS):
            direct("routing", stable="v1", versions=["v1", "v2"])
            direct("weight", weights={"v1": 50, "v2": 50}, force=FORCE)
            there = direct("weight", weights={"v1": 0, "v2": 100}, force=FORCE)
            back = direct("weight", weights={"v1": 100, "v2": 0}, force=FORCE)
            gone = direct("routing", state="absent", versions=["v2"])
            assert gone["changed"] is True
            assert there["convergence"]["converged"] is back["convergence"]["converged"] is True
        seen = running.result()
    assert seen.failed == 0, f"{seen.failed} of {seen.requests} failed: {seen.reasons}, the first: {seen.examples[:3]}"
    assert seen.requests == REQUESTS
    assert seen.rate >= 200, f"{seen.rate:.0f} requests/s is too little to prove anything"
    assert set(seen.counts) == {"v1", "v2"}
