# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes whose answer is lost: what was carried out is recognized, what was not is an error, the rest is unknown."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError, CanaryError, Conflict
from ansible_collections.meshops.canary.plugins.module_utils.kube import http, lost_answers
from ansible_collections.meshops.canary.plugins.module_utils.kube import resources as kinds
from ansible_collections.meshops.canary.plugins.module_utils.kube.client import Cluster
from ansible_collections.meshops.canary.plugins.module_utils.objects.patch import guarded_patch
from support import faulty_api

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from support.faulty_api import FaultyApi

Object = dict[str, t.Any]

RULE: t.Final[Object] = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "DestinationRule",
    "metadata": {"name": "one", "namespace": "shop", "annotations": {"a": "1"}},
    "spec": {"host": "one", "subsets": [{"name": "v1"}]},
}
GONE: t.Final = ["never"] * 9
UNANSWERED: t.Final = [
    pytest.param(["lost"], id="the connection ends"),
    pytest.param(["lost", "never", "never"], id="and nothing answers any more"),
    pytest.param([500], id="a server that says it failed"),
    pytest.param([504, 504, 504, 504], id="a gateway that times out"),
    pytest.param([b"null"], id="null"),
    pytest.param([b"<html>please log in"], id="a login page"),
    pytest.param([b"[]"], id="a list"),
]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    retry = http.bounded_retry
    monkeypatch.setattr(http, "bounded_retry", lambda: retry().new(backoff_factor=0.001))


@pytest.fixture
def api() -> Iterator[FaultyApi]:
    with faulty_api.serving(RULE) as one:
        yield one


@pytest.fixture
def cluster(api: FaultyApi) -> Cluster:
    return Cluster.connect({"host": api.url, "api_key": "k"}, {"no_proxy": "*"})


def edited(api: FaultyApi, **spec: t.Any) -> tuple[list[Object], Object]:
    before = copy.deepcopy(api.stored("DestinationRule", "one"))
    after = {**before, "spec": {**before["spec"], **spec}}
    return guarded_patch(before, after), after


def patched(cluster: Cluster, api: FaultyApi, **spec: t.Any) -> Object:
    patch, after = edited(api, **spec)
    return cluster.patch(kinds.DESTINATION_RULE, "shop", "one", patch, after=after)


@pytest.mark.parametrize("faults", UNANSWERED)
def test_a_patch_without_an_answer_is_recognized_by_what_is_stored(
    api: FaultyApi, cluster: Cluster, faults: list[t.Any]
) -> None:
    api.faults["PATCH"] = faults
    stored = patched(cluster, api, subsets=[{"name": "v1"}, {"name": "v2"}])
    assert stored == api.stored("DestinationRule", "one")
    assert [one["name"] for one in stored["spec"]["subsets"]] == ["v1", "v2"]
    assert len(cluster.warnings) == 1
    assert "Changing DestinationRule shop/one got no answer" in cluster.warnings[0]


@pytest.mark.parametrize("faults", UNANSWERED)
def test_so_is_a_creation(api: FaultyApi, cluster: Cluster, faults: list[t.Any]) -> None:
    api.faults["POST"] = faults
    two = {**RULE, "metadata": {**RULE["metadata"], "name": "two"}}
    assert cluster.create(kinds.DESTINATION_RULE, "shop", two) == api.stored("DestinationRule", "two")


@pytest.mark.parametrize("finalizers", [[], ["example.com/wait"]])
@pytest.mark.parametrize("faults", UNANSWERED)
def test_so_is_a_deletion(api: FaultyApi, cluster: Cluster, faults: list[t.Any], finalizers: list[str]) -> None:
    api.edit("DestinationRule", "one", lambda one: one["metadata"].update(finalizers=finalizers))
    api.faults["DELETE"] = faults
    metadata = api.stored("DestinationRule", "one")["metadata"]
    cluster.delete(
        kinds.DESTINATION_RULE,
        "shop",
        "one",
        resource_version=metadata["resourceVersion"],
        uid=metadata["uid"],
    )
    assert [bool(one["metadata"].get("deletionTimestamp")) for one in api.objects.values()] == (
        [True] * len(finalizers)
    )


def test_a_deletion_is_done_when_another_object_has_the_name(api: FaultyApi, cluster: Cluster) -> None:
    again = {**RULE, "metadata": {**RULE["metadata"], "uid": "another"}}
    api.faults["DELETE"] = [lambda: api.store(api.path_of(again), again)]
    uid = api.stored("DestinationRule", "one")["metadata"]["uid"]
    cluster.delete(kinds.DESTINATION_RULE, "shop", "one", uid=uid)
    assert api.stored("DestinationRule", "one")["metadata"]["uid"] == "another"


@pytest.mark.parametrize(("before", "after"), [(3, 5), (0, 2), (2, 0)])
def test_so_is_the_number_of_pods(before: int, after: int) -> None:
    metadata = {"name": "one", "namespace": "shop"}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"replicas": before}}
    scales = [{"metadata": metadata, "spec": {"replicas": pods} if pods else {}} for pods in (before, after)]
    patch = guarded_patch(*scales)
    with faulty_api.serving(deployment) as api:
        cluster = Cluster.connect({"host": api.url, "api_key": "k"}, {"no_proxy": "*"})
        api.faults["PATCH"] = ["lost"]
        stored = cluster.patch(kinds.DEPLOYMENT, "shop", "one", patch, after=scales[1], subresource="scale")
        assert stored["spec"] == scales[1]["spec"]
        assert api.stored("Deployment", "one")["spec"]["replicas"] == after


def test_another_part_may_have_been_changed_by_another_writer(api: FaultyApi, cluster: Cluster) -> None:
    def annotate() -> None:
        api.edit("DestinationRule", "one", lambda one: one["metadata"]["annotations"].update(theirs="x"))

    api.faults["PATCH"] = [annotate]
    stored = patched(cluster, api, host="other")
    assert (stored["spec"]["host"], stored["metadata"]["annotations"]["theirs"]) == ("other", "x")


def test_a_removed_field_is_recognized_and_one_that_is_there_is_not(api: FaultyApi, cluster: Cluster) -> None:
    before = copy.deepcopy(api.stored("DestinationRule", "one"))
    after = copy.deepcopy(before)
    del after["metadata"]["annotations"]
    patch = guarded_patch(before, after)
    assert not lost_answers.is_patched(before, after, patch)
    api.faults["PATCH"] = ["lost"]
    assert "annotations" not in cluster.patch(kinds.DESTINATION_RULE, "shop", "one", patch, after=after)["metadata"]


def test_a_write_that_never_arrived_is_an_error_that_says_so(api: FaultyApi, cluster: Cluster) -> None:
    api.faults["PATCH"] = GONE
    with pytest.raises(ApiError) as caught:
        patched(cluster, api, host="other")
    assert "nothing was written so far" in caught.value.msg
    assert not caught.value.maybe_written
    assert cluster.warnings == ()


def test_a_creation_that_never_arrived_too(api: FaultyApi, cluster: Cluster) -> None:
    api.faults["POST"] = GONE
    two = {**RULE, "metadata": {**RULE["metadata"], "name": "two"}}
    with pytest.raises(ApiError) as caught:
        cluster.create(kinds.DESTINATION_RULE, "shop", two)
    assert "nothing was written so far" in caught.value.msg
    assert not caught.value.maybe_written


def test_what_another_writer_did_at_the_same_time_leaves_it_unknown(api: FaultyApi, cluster: Cluster) -> None:
    def overwrite() -> None:
        api.edit("DestinationRule", "one", lambda one: one["spec"].update(host="theirs"))

    api.faults["PATCH"] = [overwrite]
    with pytest.raises(Conflict) as caught:
        patched(cluster, api, host="ours")
    assert "It is not known whether it was carried out" in caught.value.msg
    assert caught.value.maybe_written


def test_an_object_of_another_writer_is_not_ours(api: FaultyApi, cluster: Cluster) -> None:
    theirs = {**RULE, "metadata": {**RULE["metadata"], "name": "two"}, "spec": {"host": "theirs", "subsets": []}}
    api.store(api.path_of(theirs), theirs)
    api.faults["POST"] = ["never"]
    ours = {**RULE, "metadata": {**RULE["metadata"], "name": "two"}}
    with pytest.raises(Conflict) as caught:
        cluster.create(kinds.DESTINATION_RULE, "shop", ours)
    assert caught.value.maybe_written


def test_what_cannot_be_read_afterwards_is_unknown(api: FaultyApi, cluster: Cluster) -> None:
    api.faults["PATCH"] = ["lost"]
    api.always = {"PATCH": "never", "GET": "never"}
    patch, after = edited(api, host="other")
    with pytest.raises(ApiError) as caught:
        cluster.patch(kinds.DESTINATION_RULE, "shop", "one", patch, after=after)
    assert "reading failed too" in caught.value.msg
    assert caught.value.maybe_written


def test_a_conflict_after_an_answer_is_a_conflict_and_costs_no_read(api: FaultyApi, cluster: Cluster) -> None:
    patch, after = edited(api, host="other")
    api.edit("DestinationRule", "one", lambda one: one["spec"].update(host="other"))  # the same, by another writer
    with pytest.raises(Conflict) as caught:
        cluster.patch(kinds.DESTINATION_RULE, "shop", "one", patch, after=after)
    assert not caught.value.maybe_written
    assert [one.split(" ")[0] for one in api.requests] == ["PATCH"]


def test_a_dry_run_writes_nothing_so_nothing_is_read_afterwards(api: FaultyApi, cluster: Cluster) -> None:
    api.shutdown()
    api.server_close()
    patch, after = edited(api, host="other")
    with pytest.raises(ApiError) as caught:
        cluster.patch(kinds.DESTINATION_RULE, "shop", "one", patch, after=after, dry_run=True)
    assert not caught.value.maybe_written


def test_a_server_that_nobody_could_connect_to_got_nothing() -> None:
    cluster = Cluster.connect({"host": "http://127.0.0.1:1", "api_key": "k"}, {"no_proxy": "*"})
    with pytest.raises(CanaryError) as caught:
        cluster.create(kinds.DESTINATION_RULE, "shop", RULE)
    assert not caught.value.maybe_written
    assert "carried out" not in caught.value.msg


@pytest.mark.parametrize(
    ("stored", "sent", "contains"),
    [
        ({"a": 1, "default": 2}, {"a": 1}, True),
        ({"a": {"b": [1, {"c": 2, "d": 3}]}}, {"a": {"b": [1, {"c": 2}]}}, True),
        ({"a": 1}, {"a": 2}, False),
        ({}, {"a": 1}, False),
        ({"a": [1]}, {"a": [1, 2]}, False),
        ({"a": [1, 2]}, {"a": [1]}, False),
    ],
)
def test_defaults_may_be_added_but_nothing_else(stored: Object, sent: Object, contains: bool) -> None:
    assert lost_answers.contains(stored, sent) is contains
