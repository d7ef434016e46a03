# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All requests to v2 and back, each time with a new subset: no request is lost."""

from __future__ import annotations

import time
import typing as t

import pytest
from support.effort import rounds

from lab.traffic import Load

from .conftest import FORCE

if t.TYPE_CHECKING:
    from support.direct import Direct

    from .conftest import Shop

pytestmark = pytest.mark.mesh

# From 0 to 100 % and back to 0, each with a subset that is added and removed. A fault that loses a request in a fifth
# of the shifts is seen with 89 % certainty in 5 rounds, and in 20 with more than 99.9 %.
ROUNDS = rounds(5, 20)
RATE = 260
REQUESTS = rounds(10_000, 50_000)
LONGEST = 600.0


def test_no_request_is_lost_in_shifts_there_and_back(shop: Shop, direct: Direct) -> None:
    load = Load(seconds=LONGEST, rate=RATE, connections=6, limit=LONGEST)
    with shop.sidecar.background(load) as running:
        began = time.monotonic()
        for _round in range(ROUNDS):
            direct("routing", stable="v1", versions=["v1", "v2"])
            there = direct("weight", weights={"v1": 0, "v2": 100}, force=FORCE)
            back = direct("weight", weights={"v1": 100, "v2": 0}, force=FORCE)
            gone = direct("routing", state="absent", versions=["v2"])
            assert there["weights_before"].get("v2", 0) == 0
            assert there["weights"]["v2"] == back["weights_before"]["v2"] == 100
            assert gone["changed"] is True
            assert there["convergence"]["converged"] is back["convergence"]["converged"] is True
        last = time.time()
        time.sleep(max(1.0, 1.05 * REQUESTS / RATE - (time.monotonic() - began)))
        running.stop()
        seen = running.result()
    assert seen.failed == 0, f"{seen.failed} of {seen.requests} failed: {seen.reasons}, the first: {seen.examples[:3]}"
    assert seen.ended_by == "stop", "the load ended before the last shift"
    assert seen.began < last < seen.ended
    assert seen.requests >= REQUESTS
    assert seen.rate >= 200, f"{seen.rate:.0f} requests/s is too little to prove anything"
    assert set(seen.counts) == {"v1", "v2"}
