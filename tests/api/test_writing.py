# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every writing module promises: check mode writes nothing, a second run nothing more, refusals are clear."""

from __future__ import annotations

import typing as t

import pytest
from support.direct import ISTIO, Direct, essence, virtual_service

if t.TYPE_CHECKING:
    from support.kube import Kube

    from .conftest import Writes

QUICK = {"preflight": False, "wait": False}
PRESENT: dict[str, tuple[str, dict[str, t.Any]]] = {
    "weights": ("weight", {"weights": {"v1": 90, "v2": 10}}),
    "weights to a version that had no destination": ("weight", {"weights": {"v1": 50, "v3": 50}}),
    "weights settled": ("weight", {"weights": {"v2": 100}, "finalize": True}),
    "fine weights": ("weight", {"weights": {"v1": 99.9, "v2": 0.1}}),
    "cohort": ("header_route", {"headers": {"end-user": {"exact": "testuser"}}, "weights": {"v2": 10, "v3": 90}}),
    "cohort of alternatives": (
        "header_route",
        {"name": "early", "match": [{"query": {"early": "1"}}, {"cookies": {"c": "x"}}], "weights": {"v2": 100}},
    ),
    "mirror": ("mirror", {"version": "v2", "percent": 20}),
    "stickiness": ("sticky", {"max_age": 60}),
    "routing": ("routing", {"versions": ["v1", "v2", "v3", "v4"], "stable": "v1"}),
}
ABSENT = {
    "weight": {"state": "absent"},
    "header_route": {"state": "absent"},
    "mirror": {"state": "absent"},
    "sticky": {"state": "absent"},
}
cases = pytest.mark.parametrize(("command", "options"), PRESENT.values(), ids=PRESENT)


def route(kube: Kube, namespace: str) -> dict[str, t.Any]:
    found = kube.get(ISTIO, "VirtualService", "reviews", namespace)
    assert found is not None
    return found


@cases
def test_check_mode_reports_the_change_and_writes_nothing(
    direct: Direct, writes: Writes, command: str, options: dict[str, t.Any]
) -> None:
    planned = direct(command, check_mode=True, **QUICK, **options)
    assert planned["changed"]
    assert planned["diff"]["before"] != planned["diff"]["after"]
    assert planned["convergence"]["method"] == "none"
    assert writes.seen() == set()
    done = direct(command, **QUICK, **options)
    assert writes.seen() != set()
    different = {"convergence", "warnings", "api_requests"}
    same_keys = set(planned) == set(done)
    assert same_keys, set(planned) ^ set(done)
    assert {k: v for k, v in planned.items() if k not in different} == {
        k: v for k, v in done.items() if k not in different
    }


@cases
def test_the_second_run_reads_and_writes_nothing(
    direct: Direct, kube: Kube, routed: str, command: str, options: dict[str, t.Any]
) -> None:
    assert direct(command, **QUICK, **options)["changed"]
    before = kube.list(ISTIO, "VirtualService", routed)
    again = direct(command, **QUICK, **options)
    assert not again["changed"]
    assert again["patch"] == []
    assert {**again["api_requests"], "get": 0} == {"get": 0, "patch": 0, "post": 0, "delete": 0}
    assert kube.list(ISTIO, "VirtualService", routed) == before


def test_one_get_when_nothing_changes_and_one_patch_when_something_does(direct: Direct, routed: str) -> None:
    done = direct("weight", weights={"v1": 80, "v2": 20}, **QUICK)
    # v2 had no requests before, so its subset is looked up too
    assert done["api_requests"] == {"get": 2, "patch": 1, "post": 0, "delete": 0}
    more = direct("weight", weights={"v1": 70, "v2": 30}, **QUICK)
    assert more["api_requests"] == {"get": 1, "patch": 1, "post": 0, "delete": 0}
    same = direct("weight", weights={"v1": 70, "v2": 30}, **QUICK)
    assert same["api_requests"] == {"get": 1, "patch": 0, "post": 0, "delete": 0}


@pytest.mark.parametrize("command", ABSENT)
def test_present_and_absent_leave_the_object_as_it_was(direct: Direct, kube: Kube, routed: str, command: str) -> None:
    before = essence(route(kube, routed))
    options = next(given for name, given in PRESENT.values() if name == command)
    direct(command, **QUICK, **options)
    assert essence(route(kube, routed)) != before
    assert direct(command, **QUICK, **ABSENT[command])["changed"]
    assert essence(route(kube, routed)) == before


def test_only_weights_and_our_annotation_are_touched(direct: Direct, kube: Kube, routed: str) -> None:
    before = route(kube, routed)
    done = direct("weight", weights={"v1": 75, "v2": 25}, **QUICK)
    after = route(kube, routed)
    assert done["msg"].startswith("reviews: v1 100% -> 75%, v2 0% -> 25%")
    assert [entry["weight"] for entry in after["spec"]["http"][0]["route"]] == [75, 25]
    assert after["metadata"]["annotations"].pop("canary.meshops.io/state")
    after["spec"]["http"][0]["route"] = before["spec"]["http"][0]["route"]
    assert essence(after) == essence(before)


def test_return_object_returns_the_stored_object_without_managed_fields(direct: Direct, routed: str) -> None:
    done = direct("weight", weights={"v1": 75, "v2": 25}, return_object=True, **QUICK)
    (stored,) = done["resources"]
    assert stored["metadata"]["resourceVersion"]
    assert "managedFields" not in stored["metadata"]
    assert [entry["weight"] for entry in stored["spec"]["http"][0]["route"]] == [75, 25]


def test_preflight_refuses_a_subset_without_pods_and_force_overrides(direct: Direct, writes: Writes) -> None:
    refused = direct("weight", weights={"v1": 90, "v2": 10}, wait=False, fails=True)
    assert refused["error_code"] == "refused"
    assert "SUBSET_NOT_READY" in {one["code"] for one in refused["findings"]}
    assert "force: [" in refused["msg"]
    assert writes.seen() == set()
    codes = [one["code"] for one in refused["findings"] if one["severity"] == "error"]
    forced = direct("weight", weights={"v1": 90, "v2": 10}, wait=False, force=codes)
    assert forced["changed"]
    assert any("SUBSET_NOT_READY" in warning for warning in forced["warnings"])


def test_an_unknown_code_in_force_is_refused(direct: Direct, writes: Writes) -> None:
    failed = direct("weight", weights={"v1": 90, "v2": 10}, force=["SUBSET_UNREADY"], fails=True)
    assert failed["error_code"] == "invalid_input"
    assert "SUBSET_UNREADY" in failed["msg"]
    assert "SUBSET_NOT_READY" in failed["msg"]
    assert writes.seen() == set()


@pytest.mark.parametrize(
    ("command", "options", "code", "words"),
    [
        ("weight", {"weights": {"v1": 90, "v2": 11}}, "invalid_input", "add up to 101"),
        ("weight", {"weights": {"v1": 90, "v9": 10}}, "unknown_subset", "there are: v1, v2, v3"),
        ("weight", {"weights": {"v1": 100}, "service": "nobody"}, "refused", "No VirtualService routes nobody"),
        ("weight", {"weights": {"v1": 100}, "virtual_services": ["other"]}, "invalid_input", "no VirtualService"),
        ("weight", {"weights": {"v1": 100}, "routes": ["other"]}, "refused", "routes: other"),
        ("header_route", {"headers": {"uri": "/x"}, "weights": {"v2": 100}}, "invalid_input", "headers.uri"),
        ("header_route", {"path": 7, "weights": {"v2": 100}}, "invalid_input", "path"),
        ("mirror", {"version": "v9"}, "unknown_subset", "v9"),
        ("routing", {"versions": "v1", "stable": "v1"}, "invalid_input", "versions must be a list"),
        ("routing", {"versions": ["v1"], "stable": "v2"}, "invalid_input", "stable"),
    ],
)
def test_invalid_input_is_refused_and_nothing_is_written(
    direct: Direct, writes: Writes, command: str, options: dict[str, t.Any], code: str, words: str
) -> None:
    failed = direct(command, fails=True, **QUICK, **options)
    assert failed["error_code"] == code
    assert words in failed["msg"]
    assert not failed["changed"]
    assert writes.seen() == set()


def test_two_objects_that_claim_the_host_are_refused_by_name(direct: Direct, kube: Kube, routed: str) -> None:
    kube.apply(virtual_service(name="revews"), namespace=routed)
    failed = direct("weight", weights={"v1": 90, "v2": 10}, fails=True, **QUICK)
    assert [one["code"] for one in failed["findings"]] == ["HOST_CLAIMED_TWICE"] * 2
    assert "revews" in failed["msg"]
    assert direct("weight", weights={"v1": 90, "v2": 10}, virtual_services=["reviews"], **QUICK)["changed"]


def test_errors_of_the_istio_webhook_are_reported_in_check_mode_and_without(direct: Direct, writes: Writes) -> None:
    bad = {"gateway": "front", "hosts": ["not_a host"]}
    options = {"versions": ["v1", "v2", "v3"], "stable": "v1", "ingress": [bad], **QUICK}
    for check_mode in (True, False):
        failed = direct("routing", check_mode=check_mode, fails=True, **options)
        assert failed["error_code"] == "api_error"
        assert "validation.istio.io" in failed["msg"], failed["msg"]
        assert "Creating VirtualService" in failed["msg"]
    assert writes.seen() == set()


def test_new_routing_pins_requests_to_stable_and_can_be_removed(direct: Direct, kube: Kube, namespace: str) -> None:
    made = direct("routing", versions={"v1": None, "v2": {"track": "canary"}}, stable="v1", **QUICK)
    assert [one["kind"] for one in made["patch"]] == ["DestinationRule", "VirtualService"]
    rule = kube.get(ISTIO, "DestinationRule", "reviews", namespace)
    assert rule is not None
    assert rule["spec"]["subsets"] == [
        {"name": "v1", "labels": {"version": "v1"}},
        {"name": "v2", "labels": {"track": "canary"}},
    ]
    assert made["weights"] == {"v1": 100}
    direct("weight", weights={"v1": 60, "v2": 40}, **QUICK)
    assert not direct("routing", versions=["v1"], stable="v1", **QUICK)["changed"], "weights were reset"
    assert direct("routing", state="absent", **QUICK)["changed"]
    assert kube.list(ISTIO, "VirtualService", namespace) == []
    assert kube.list(ISTIO, "DestinationRule", namespace) == []


def test_weights_changed_by_another_writer_are_not_overwritten(direct: Direct, writes: Writes) -> None:
    """Compare and set: who decided by other weights than there are now is refused, also in check mode."""
    options: dict[str, t.Any] = {"weights": {"v1": 75, "v2": 25}, "expected": {"v1": 90, "v2": 10}, **QUICK}
    for check_mode in (True, False):
        refused = direct("weight", fails=True, check_mode=check_mode, **options)
        assert refused["error_code"] == "drift"
        assert refused["weights_now"] == {"v1": 100.0, "v2": 0.0}
        assert "are v1 100%, v2 0%, but v1 90%, v2 10% was expected. Nothing was written" in refused["msg"]
    assert writes.seen() == set()
    direct("weight", weights={"v1": 90, "v2": 10}, **QUICK)
    assert direct("weight", **options)["changed"]
    assert not direct("weight", **options)["changed"], "a second run finds what it wants"
    unsure = direct("weight", fails=True, weights={"v1": 100}, expected={"v1": "half"}, **QUICK)
    assert "expected.v1 must be a number of percent" in unsure["msg"]
