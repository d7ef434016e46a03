# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When canary_weight says that the proxies have converged, no later request reaches the old version.

Requests run all the time, from the productpage pod and through the gateway; each has the time when it was sent. The
clocks can be compared because the lab's pods, this machine's requests and the command share one kernel.
"""

from __future__ import annotations

import contextlib
import time
import typing as t

import pytest
from support.direct import ISTIO

from lab.traffic import Load

from .conftest import FORCE

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.kube import Kube

    from .conftest import Shop

pytestmark = pytest.mark.mesh

LOAD = Load(seconds=120, connections=3, rate=150)
FLIPS = [("v1", "v2"), ("v2", "v3")]


def test_no_request_reaches_the_old_version_after_the_command_has_returned(all_on_v1: Shop, direct: Direct) -> None:
    returned = {}
    with contextlib.ExitStack() as stack:
        loads = [stack.enter_context(place.background(LOAD)) for place in all_on_v1.places]
        for old, new in FLIPS:
            time.sleep(1.5)  # until both loads have sent some requests
            result = direct("weight", weights={old: 0, new: 100}, force=FORCE)
            returned[old] = time.time()
            assert result["changed"]
            assert result["convergence"]["method"] == "proxies"
            assert result["convergence"]["converged"]
        time.sleep(1)
    for seen in (load.result() for load in loads):
        assert seen.failed == 0, seen.reasons
        assert set(seen.counts) == {"v1", "v2", "v3"}
        for old, new in FLIPS:
            late = seen.last_sent[old] - returned[old]
            assert late <= 0, f"{old} answered a request sent {late * 1000:.0f} ms after the command had returned"
            assert seen.last_sent[new] > returned[old], "no request was sent after the command had returned"


def test_a_load_detects_requests_that_reach_the_old_version_late(kube: Kube, all_on_v1: Shop) -> None:
    """Shows that the test above can fail: istiod collects changes for 0.1 s before it sends them to the proxies."""
    namespace = all_on_v1.namespace
    found = kube.get(ISTIO, "VirtualService", "reviews", namespace)
    assert found
    route = found["spec"]["http"][-1]
    route["route"] = [{"destination": {**route["route"][0]["destination"], "subset": "v2"}}]
    with contextlib.ExitStack() as stack:
        loads = [stack.enter_context(place.background(LOAD)) for place in all_on_v1.places]
        time.sleep(1.5)
        kube.patch(ISTIO, "VirtualService", "reviews", namespace, {"spec": found["spec"]})
        written = time.time()
        time.sleep(1)
    late = [load.result().last_sent["v1"] - written for load in loads]
    assert min(late) > 0, f"requests to the old version ended before the write was answered: {late}"
