# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When canary_weight says that the proxies have converged, no request sent later reaches the old version.

Requests run all the time, from the productpage pod and through the gateway; each is stamped when it is sent. The clocks
can be compared because the lab's pods, this machine's requests and Ansible share one kernel.
"""

from __future__ import annotations

import contextlib
import time
import typing as t

import pytest

from lab.traffic import Load, Measurement

if t.TYPE_CHECKING:
    from support.kube import Kube

    from .conftest import Shop

pytestmark = pytest.mark.mesh

LOAD = Load(seconds=120, connections=3, rate=150)
FLIPS = [("v1", "v2"), ("v2", "v3"), ("v3", "v1")]


def flip(shop: Shop, old: str, new: str) -> tuple[float, dict[str, t.Any], list[Measurement]]:
    """Move all requests from `old` to `new` under load; when the task had ended, its result, what both places saw."""
    tasks = [
        {
            "name": "Flip",
            "meshops.canary.canary_weight": {
                "service": "reviews",
                "namespace": shop.namespace,
                "weights": {old: 0, new: 100},
            },
        },
        {"name": "Clock", "ansible.builtin.debug": {"msg": "{{ now(utc=true).timestamp() }}"}},
        {"name": "Let some more requests pass", "ansible.builtin.pause": {"seconds": 1}},
    ]
    with contextlib.ExitStack() as stack:
        loads = [stack.enter_context(place.background(LOAD)) for place in shop.places]
        played = shop.player(tasks)
    return float(played.task("Clock")["msg"]), played.task("Flip"), [load.result() for load in loads]


@pytest.mark.parametrize(("old", "new"), FLIPS)
def test_no_request_reaches_the_old_version_after_the_task_has_returned(shop: Shop, old: str, new: str) -> None:
    shop.cohort()
    shop.shift(**{old: 100})
    returned, result, measurements = flip(shop, old, new)
    assert result["changed"]
    assert result["convergence"]["method"] == "proxies"
    assert result["convergence"]["converged"]
    for seen in measurements:
        assert seen.failed == 0, seen.reasons
        assert set(seen.counts) == {old, new}
        late = seen.last_sent[old] - returned
        assert late <= 0, f"{old} answered a request sent {late * 1000:.0f} ms after the task had returned"
        assert seen.last_sent[new] > returned, "no request was sent after the task had returned: nothing is proved"


def test_the_loads_see_requests_that_reach_the_old_version_late(kube: Kube, everybody_on_v1: Shop) -> None:
    """Proves that the test above can fail: istiod gathers changes for 0.1 s before it tells the proxies."""
    shop = everybody_on_v1
    found = kube.get("networking.istio.io/v1", "VirtualService", "reviews", shop.namespace)
    assert found
    route = found["spec"]["http"][-1]
    route["route"] = [{"destination": {**route["route"][0]["destination"], "subset": "v2"}}]
    with contextlib.ExitStack() as stack:
        loads = [stack.enter_context(place.background(LOAD)) for place in shop.places]
        time.sleep(3)
        kube.patch("networking.istio.io/v1", "VirtualService", "reviews", shop.namespace, {"spec": found["spec"]})
        written = time.time()
        time.sleep(3)
    late = [load.result().last_sent["v1"] - written for load in loads]
    assert min(late) > 0, f"requests to the old version ended before the write was answered: {late}"
