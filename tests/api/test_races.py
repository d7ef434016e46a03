# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Another writer at the same object: nothing is lost, and every outcome is success or a clear conflict."""

from __future__ import annotations

import contextlib
import threading
import time
import typing as t

from ansible_collections.meshops.canary.plugins.module_utils.routing import plan
from support.direct import ISTIO, Direct
from support.effort import random_numbers, rounds
from support.kube import KubeError

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest
    from support.kube import Kube

QUICK = {"preflight": False, "wait": False}


@contextlib.contextmanager
def between_reading_and_writing(monkeypatch: pytest.MonkeyPatch, action: t.Callable[[int], None]) -> Iterator[None]:
    """Call `action` with the number of the plan, after the plan was made and before it is written."""
    original = plan.plan
    made = 0

    def planned(*given: t.Any, **named: t.Any) -> t.Any:
        nonlocal made
        result = original(*given, **named)  # may ask for a list that was not read; that is no plan
        made += 1
        action(made)
        return result

    with monkeypatch.context() as patch:
        patch.setattr(plan, "plan", planned)
        yield


def set_timeout(kube: Kube, namespace: str, seconds: int) -> None:
    """Change the route's timeout as another tool would: read, and write with the version that was read."""
    found = kube.get(ISTIO, "VirtualService", "reviews", namespace)
    assert found is not None
    found["spec"]["http"][0]["timeout"] = f"{seconds}s"
    body = {
        "metadata": {"resourceVersion": found["metadata"]["resourceVersion"]},
        "spec": {"http": found["spec"]["http"]},
    }
    kube.patch(ISTIO, "VirtualService", "reviews", namespace, body)


def test_a_concurrent_change_is_read_and_planned_again(
    direct: Direct, kube: Kube, routed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meddle(number: int) -> None:
        if number == 1:
            set_timeout(kube, routed, 41)

    with between_reading_and_writing(monkeypatch, meddle):
        done = direct("weight", weights={"v1": 80, "v2": 20}, **QUICK)
    assert done["changed"]
    assert done["api_requests"]["patch"] == 2
    found = kube.get(ISTIO, "VirtualService", "reviews", routed)
    assert found is not None
    (route,) = found["spec"]["http"]
    assert route["timeout"] == "41s"
    assert [entry["weight"] for entry in route["route"]] == [80, 20]


def test_a_second_concurrent_change_is_a_conflict(
    direct: Direct, kube: Kube, routed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with between_reading_and_writing(monkeypatch, lambda number: set_timeout(kube, routed, 50 + number)):
        failed = direct("weight", weights={"v1": 80, "v2": 20}, fails=True, **QUICK)
    assert failed["error_code"] == "conflict"
    assert "Conflict: the routes of reviews" in failed["msg"]
    assert not failed["changed"]
    found = kube.get(ISTIO, "VirtualService", "reviews", routed)
    assert found is not None
    assert found["spec"]["http"][0]["timeout"] == "52s"
    assert [entry["weight"] for entry in found["spec"]["http"][0]["route"]] == [100, 0]


def test_the_same_change_by_another_writer_is_no_conflict(
    direct: Direct, kube: Kube, routed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Direct(direct.kubeconfig, routed)
    busy = False

    def meddle(_number: int) -> None:
        nonlocal busy
        if not busy:
            busy = True
            other("weight", weights={"v1": 80, "v2": 20}, **QUICK)

    with between_reading_and_writing(monkeypatch, meddle):
        done = direct("weight", weights={"v1": 80, "v2": 20}, **QUICK)
    assert not done["changed"]
    assert done["weights"] == {"v1": 80, "v2": 20}


def test_races_with_another_writer_lose_no_update(direct: Direct, kube: Kube, routed: str) -> None:
    """Each must find its own last success in the object in the end.

    The other pauses for up to half the time that one of ours takes, so that on any machine some of ours meet one of
    its writes and some do not.
    """
    races, numbers = rounds(60, 500), random_numbers()
    stop = threading.Event()
    theirs, took = 0, 0.0
    wrong: list[BaseException] = []

    def other_writer() -> None:
        nonlocal theirs
        while not stop.is_set():
            try:
                set_timeout(kube, routed, theirs + 1)
                theirs += 1
                stop.wait(numbers.uniform(0, took / 2))
            except KubeError as error:
                if error.status != 409:
                    wrong.append(error)
                    return

    writer = threading.Thread(target=other_writer)
    writer.start()
    ours, outcomes, retried = {"v1": 100, "v2": 0}, {"changed": 0, "conflict": 0}, 0
    try:
        for number in range(races):
            wanted = {"v1": 90 - number % 50, "v2": 10 + number % 50}
            began = time.monotonic()
            result = direct.attempt("weight", weights=wanted, **QUICK)
            took = time.monotonic() - began
            retried += result["api_requests"]["patch"] > 1
            if result.get("failed"):
                assert result["error_code"] == "conflict", result
                assert not result["changed"]
                outcomes["conflict"] += 1
            else:
                assert result["changed"] == (wanted != ours), result
                assert result["weights"] == wanted
                ours = wanted
                outcomes["changed"] += 1
    finally:
        stop.set()
        writer.join()
    assert wrong == []
    assert theirs > 0
    assert outcomes["changed"] > 0
    assert retried > 0, "no write of ours has met one of theirs"
    assert sum(outcomes.values()) == races
    found = kube.get(ISTIO, "VirtualService", "reviews", routed)
    assert found is not None
    (route,) = found["spec"]["http"]
    assert route["timeout"] == f"{theirs}s"
    assert {entry["destination"]["subset"]: entry["weight"] for entry in route["route"]} == ours
    print(f"{races} rounds against {theirs} writes of another: {outcomes}, {retried} tried twice")
