# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A task whose write gets no answer says what it did, or may have done; nothing that is needed for that is undone."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.meshops.canary.plugins.module_utils.commands import capacity, replicas, rollout, weight
from ansible_collections.meshops.canary.plugins.module_utils.errors import CanaryError
from ansible_collections.meshops.canary.plugins.module_utils.kube import http
from ansible_collections.meshops.canary.plugins.module_utils.kube.client import Cluster
from ansible_collections.meshops.canary.plugins.module_utils.mesh import convergence
from ansible_collections.meshops.canary.plugins.module_utils.objects.change import Change, creation, edit
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.runs.lock import Lease
from ansible_collections.meshops.canary.plugins.module_utils.task.context import Context
from ansible_collections.meshops.canary.plugins.module_utils.task.entry import execute
from ansible_collections.meshops.canary.plugins.module_utils.writing.writer import Writer
from support import faulty_api
from support import reviews as rv
from support.deployments import STABLE, snapshot

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from support.faulty_api import FaultyApi

Object = dict[str, t.Any]
REVIEWS = ServiceRef("reviews", rv.NAMESPACE)
QUICK = {"preflight": False, "wait": False}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    retry = http.bounded_retry
    monkeypatch.setattr(http, "bounded_retry", lambda: retry().new(backoff_factor=0.001))


@pytest.fixture
def api() -> Iterator[FaultyApi]:
    lists = rv.healthy()
    kinds = ("virtual_services", "destination_rules", "deployments", "pods", "services")
    with faulty_api.serving(*(obj for kind in kinds for obj in lists[kind])) as one:
        yield one


def run(api: FaultyApi, command: t.Any, **options: t.Any) -> dict[str, t.Any]:
    place = {"service": "reviews", "namespace": rv.NAMESPACE, "host": api.url, "api_key": "k"}
    checked = ArgumentSpecValidator(command.SPEC.options, **command.SPEC.rules()).validate({**place, **options})
    assert checked.error_messages == []
    context = Context(False, lambda _said: None, {"no_proxy": "*"})
    result, warnings = execute(command, checked.validated_parameters, context)
    return {**result, "warnings": warnings}


def shifted(api: FaultyApi, **options: t.Any) -> dict[str, t.Any]:
    return run(api, weight, weights={"v1": 70, "v2": 30}, **{**QUICK, **options})


def shares(api: FaultyApi, route: int = 0) -> list[int]:
    routes = api.stored("VirtualService", "reviews")["spec"]["http"]
    return [one["weight"] for one in routes[route]["route"]]


@pytest.mark.parametrize("faults", [["lost"], ["lost", "never", "never"], [500], [b"null"]], ids=str)
def test_moved_traffic_is_a_change_although_the_answer_was_lost(api: FaultyApi, faults: list[t.Any]) -> None:
    api.faults["PATCH"] = faults
    done = shifted(api)
    assert shares(api) == [70, 30]
    assert done["changed"] is True
    assert "v2 10% -> 30%" in done["msg"]
    assert "got no answer" in done["warnings"][-1]
    assert done["patch"][0]["name"] == "reviews"


def test_an_answer_that_came_is_told_without_a_warning(api: FaultyApi) -> None:
    done = shifted(api)
    assert (done["changed"], done["warnings"]) == (True, [])
    assert shifted(api)["changed"] is False


def test_a_change_that_another_writer_completed_may_be_ours(api: FaultyApi) -> None:
    """The same weights are stored, but in a list with another's new route: nobody knows whose weights they are."""

    def add_route() -> None:
        route = {"name": "theirs", "match": [{"uri": {"prefix": "/x"}}], "route": [rv.destination("v1", host="other")]}
        api.edit("VirtualService", "reviews", lambda one: one["spec"]["http"].insert(0, route))

    api.faults["PATCH"] = [add_route]
    done = shifted(api)
    assert shares(api, 1) == [70, 30]
    assert done["changed"] is True
    assert "nothing is left to change" in done["msg"]
    assert "this task sent a change and got no answer. It may have been carried out" in done["msg"]
    assert done["patch"][0]["patch"]


def test_a_change_that_another_writer_undid_is_made_again(api: FaultyApi) -> None:
    def undo() -> None:
        entries = [rv.destination("v1", 95), rv.destination("v2", 5)]
        api.edit("VirtualService", "reviews", lambda one: one["spec"]["http"][0].update(route=entries))

    api.faults["PATCH"] = [undo]
    done = shifted(api)
    assert shares(api) == [70, 30]
    assert "v2 5% -> 30%" in done["msg"]
    assert not [one for one in done["warnings"] if "may have been" in one]


def test_a_task_that_wrote_nothing_says_so(api: FaultyApi) -> None:
    api.always["PATCH"] = "never"
    failed = shifted(api)
    assert (failed["failed"], failed["changed"], shares(api)) == (True, False, [90, 10])
    assert "nothing was written so far" in failed["msg"]


def test_a_task_that_may_have_written_says_so(api: FaultyApi) -> None:
    api.faults["GET"] = [None]
    api.faults["PATCH"] = ["lost"]
    api.always = {"GET": "never", "PATCH": "never"}
    failed = shifted(api)
    assert (failed["failed"], failed["changed"], shares(api)) == (True, True, [70, 30])
    assert "It is not known whether it was carried out" in failed["msg"]
    assert "Run the task again" in failed["msg"]


def test_pods_that_were_scaled_are_a_change(api: FaultyApi) -> None:
    api.faults["PATCH"] = ["lost"]
    done = run(api, capacity, version="v2", pods=4, wait=False)
    assert api.stored("Deployment", "reviews-v2")["spec"]["replicas"] == 4
    assert done["changed"] is True
    assert "1 -> 4" in done["msg"]


def test_a_created_canary_is_a_change_and_its_removal_too() -> None:
    front = {"apiVersion": "v1", **snapshot().services[0]}
    with faulty_api.serving(STABLE, front) as api:
        place = {"service": "shop", "namespace": "books", **QUICK}
        api.faults["POST"] = ["lost"]
        done = run(api, replicas, **place, container="shop", image="shop:2", replicas=1)
        name = next(one["name"] for one in done["patch"] if one["operation"] == "create")
        assert done["changed"] is True
        assert api.stored("Deployment", name)["spec"]["replicas"] == 1
        api.faults["DELETE"] = ["lost"]
        assert run(api, replicas, **place, state="absent")["changed"] is True
        assert [one["metadata"]["name"] for one in api.objects.values() if one["kind"] == "Deployment"] == ["shop"]


def writer(api: FaultyApi) -> Writer:
    return Writer(Cluster.connect({"host": api.url, "api_key": "k"}, {"no_proxy": "*"}), lambda _said: None)


def with_subset(api: FaultyApi) -> Change:
    before = copy.deepcopy(api.stored("DestinationRule", "reviews"))
    subsets = [*before["spec"]["subsets"], {"name": "v3", "labels": {"version": "v3"}}]
    change = edit(before, {**before, "spec": {**before["spec"], "subsets": subsets}})
    assert change is not None
    return change


def with_weight(api: FaultyApi) -> Change:
    before = copy.deepcopy(api.stored("VirtualService", "reviews"))
    route = [{"route": [rv.destination("v1", 90), rv.destination("v3", 10)]}]
    change = edit(before, {**before, "spec": {**before["spec"], "http": route}})
    assert change is not None
    return change


def test_the_second_of_two_objects_is_recognized(api: FaultyApi) -> None:
    one = writer(api)
    api.faults["PATCH"] = [None, "lost"]
    for change in (with_subset(api), with_weight(api)):
        one.write(change)
    assert [change.kind for change, _stored in one.written] == ["DestinationRule", "VirtualService"]
    assert not one.uncertain


def test_a_subset_stays_that_a_route_may_need(api: FaultyApi) -> None:
    """Traffic may go to v3 now: taking its subset away would answer those requests with 503."""
    one, second = writer(api), with_weight(api)
    one.write(with_subset(api))
    api.faults["PATCH"] = ["lost"]
    api.always = {"PATCH": "never", "GET": "never"}
    with pytest.raises(CanaryError) as caught:
        one.write(second)
    api.always = {}
    error = one.undone(caught.value)
    assert "DestinationRule bookinfo/reviews had been written before and was kept" in error.msg
    assert [subset["name"] for subset in api.stored("DestinationRule", "reviews")["spec"]["subsets"]][-1] == "v3"
    assert one.has_written


def test_an_undo_whose_answer_is_lost_is_an_undo(api: FaultyApi) -> None:
    before = copy.deepcopy(api.objects)
    one = writer(api)
    made = {**rv.destination_rule(name="made"), "metadata": {"name": "made", "namespace": rv.NAMESPACE}}
    for change in (with_subset(api), creation(made)):
        one.write(change)
    api.faults = {"PATCH": ["lost"], "DELETE": ["lost"]}
    error = one.undone(CanaryError("The third failed."))
    assert "Undoing failed" not in error.msg
    assert error.msg.count("had been written and was restored") == 2
    assert not one.has_written
    assert {path: obj["spec"] for path, obj in api.objects.items()} == {
        path: obj["spec"] for path, obj in before.items()
    }


def test_an_undo_of_which_nobody_knows_is_told(api: FaultyApi) -> None:
    one = writer(api)
    one.write(with_subset(api))
    api.faults["PATCH"] = ["lost"]
    api.always = {"PATCH": "never", "GET": "never"}
    error = one.undone(CanaryError("The second failed."))
    assert "DestinationRule bookinfo/reviews may have been restored" in error.msg
    assert one.has_written


@pytest.mark.parametrize("lost", [{"POST": ["lost"]}, {"POST": [500]}, {"POST": [None], "PATCH": ["lost"]}], ids=str)
def test_a_lock_is_taken_and_released_once(api: FaultyApi, lost: dict[str, list[t.Any]]) -> None:
    cluster = Cluster.connect({"host": api.url, "api_key": "k"}, {"no_proxy": "*"})
    api.faults = lost
    lease = Lease(cluster, REVIEWS, 60, "me")
    lease.take()
    assert lease.newly_taken
    lease.take()
    assert lease.release() is True
    assert api.stored("Lease", "canary-reviews")["spec"]["holderIdentity"] == ""


def test_a_release_whose_answer_is_lost_is_a_release(api: FaultyApi) -> None:
    lease = Lease(Cluster.connect({"host": api.url, "api_key": "k"}, {"no_proxy": "*"}), REVIEWS, 60, "me")
    lease.take()
    api.faults["PATCH"] = ["lost"]
    assert lease.release() is True


def test_a_rollback_whose_answer_is_lost_is_a_change(api: FaultyApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convergence.time, "sleep", lambda _seconds: None)  # there are no proxies to wait for
    api.faults["PATCH"] = ["lost"]
    done = run(api, rollout, state="rolled_back", stable="v1", capacity=False)
    assert done["changed"] is True, done["msg"]
    assert "v2 10% -> 0%" in done["msg"]
    assert shares(api)[0] == 100


def test_a_promotion_that_fails_after_its_first_write_has_changed_something(api: FaultyApi) -> None:
    api.edit("Deployment", "reviews-v2", lambda one: one.update(status={"readyReplicas": 3}))
    api.faults["PATCH"] = [None]
    api.always["PATCH"] = "never"
    failed = run(api, rollout, state="promoted", canary="v2")
    assert api.stored("Deployment", "reviews-v2")["spec"]["replicas"] == 3
    assert shares(api) == [90, 10]
    assert (failed["failed"], failed["changed"]) == (True, True)
