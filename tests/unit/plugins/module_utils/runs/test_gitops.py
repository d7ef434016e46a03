# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pauses on an API server in memory: who is paused, in which order it is noted, and that nothing is left of it."""

from __future__ import annotations

import copy
import json
import types
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError, Conflict, Refused
from ansible_collections.meshops.canary.plugins.module_utils.gitops import pause
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.runs.gitops import GitOpsPause

if t.TYPE_CHECKING:
    from collections.abc import Callable

    Object = dict[str, t.Any]

SERVICE = ServiceRef("reviews", "shop")
ROUTE, RULE, DEPLOYMENT, APPLICATION = "virtualservices", "destinationrules", "deployments", "applications"
TRACKED = {"argocd.argoproj.io/tracking-id": "shop:networking.istio.io/VirtualService:shop/reviews"}
FLUX = {"kustomize.toolkit.fluxcd.io/name": "apps"}
BY_PODS = types.SimpleNamespace(by_pods=True, stable="reviews", canary="reviews-canary", versions=())
BY_ROUTES = types.SimpleNamespace(by_pods=False, stable="v1", canary="v2", versions=("v1", "v2"))


def made(api: str, kind: str, name: str, namespace: str = "shop", **metadata: t.Any) -> Object:
    whole = {"name": name, "namespace": namespace, "resourceVersion": "1", **metadata}
    return {"apiVersion": api, "kind": kind, "metadata": whole, "spec": {}}


def route(**metadata: t.Any) -> Object:
    found = made("networking.istio.io/v1", "VirtualService", "reviews", **metadata)
    destination = {"destination": {"host": "reviews", "subset": "v1"}}
    return {**found, "spec": {"hosts": ["reviews"], "http": [{"route": [destination]}]}}


def application(**metadata: t.Any) -> Object:
    return made("argoproj.io/v1alpha1", "Application", "shop", "argocd", **metadata)


class Cluster:
    """The API server. writes: the objects in the order of their writes. conflicts: writes that fail first."""

    def __init__(self, **objects: list[Object]) -> None:
        self.objects = {plural: {one["metadata"]["name"]: one for one in found} for plural, found in objects.items()}
        self.writes: list[str] = []
        self.conflicts = 0
        self.forbidden: set[str] = set()
        self.dies_at = 0

    def list(self, resource: t.Any, _namespace: str | None = None, **_more: t.Any) -> list[Object]:
        if resource.plural in self.forbidden:
            raise ApiError("forbidden", status=403)
        return copy.deepcopy(list(self.objects.get(resource.plural, {}).values()))

    def get(self, resource: t.Any, _namespace: str | None, name: str) -> Object | None:
        return copy.deepcopy(self.objects.get(resource.plural, {}).get(name))

    def access_review(self, _verb: str, resource: t.Any, _namespace: str | None) -> bool:
        return resource.plural not in self.forbidden

    def patch(self, resource: t.Any, _namespace: str, name: str, patch: t.Any, *, after: Object) -> Object:
        assert patch
        if self.conflicts:
            self.conflicts -= 1
            raise Conflict("changed meanwhile")
        self.objects[resource.plural][name] = copy.deepcopy(after)
        self.writes.append(f"{resource.kind} {name}")
        if len(self.writes) == self.dies_at:
            raise KeyboardInterrupt
        return after


def work(cluster: Cluster) -> GitOpsPause:
    return GitOpsPause(t.cast("t.Any", cluster), SERVICE)


def paused(cluster: Cluster, rollout: t.Any = BY_ROUTES) -> GitOpsPause:
    found = work(cluster)
    found.begin(found.objects(t.cast("t.Any", rollout), "auto", scales=False))
    return found


def test_argo_cd_is_paused_in_its_application_after_the_object_is_marked_and_resumed_before() -> None:
    cluster = Cluster(virtualservices=[route(annotations=TRACKED)], applications=[application()])
    before = copy.deepcopy(cluster.objects)
    one = paused(cluster)
    assert cluster.writes == ["VirtualService reviews", "Application shop"]
    [entry] = cluster.objects[APPLICATION]["shop"]["spec"]["ignoreDifferences"]
    assert entry["name"] == "reviews"
    assert one.end() == ["Argo CD applies VirtualService shop/reviews again"]
    assert cluster.writes[2:] == ["Application shop", "VirtualService reviews"]
    assert cluster.objects == before
    assert work(cluster).end() == []


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_run_that_is_killed_at_any_write_is_cleaned_up_by_another(at: int) -> None:
    cluster = Cluster(virtualservices=[route(annotations=TRACKED)], applications=[application()])
    before = copy.deepcopy(cluster.objects)
    cluster.dies_at = at
    with pytest.raises(KeyboardInterrupt):
        paused(cluster).end()
    cluster.dies_at = 0
    work(cluster).end()
    assert cluster.objects == before


def test_the_entry_of_an_object_that_was_replaced_goes_too() -> None:
    cluster = Cluster(virtualservices=[route(annotations=TRACKED)], applications=[application()])
    before = copy.deepcopy(cluster.objects)
    paused(cluster)
    cluster.objects[ROUTE]["reviews"] = route(annotations=TRACKED)
    work(cluster).end()
    assert cluster.objects == before


def test_entries_of_another_service_stay() -> None:
    cluster = Cluster(virtualservices=[route(annotations=TRACKED)], applications=[application()])
    paused(cluster)
    other = GitOpsPause(t.cast("t.Any", cluster), ServiceRef("ratings", "shop"))
    assert other.end() == []
    assert json.loads(cluster.objects[ROUTE]["reviews"]["metadata"]["annotations"][pause.PAUSE])["services"]
    assert len(cluster.objects[APPLICATION]["shop"]["spec"]["ignoreDifferences"]) == 1


def test_by_pods_the_deployments_are_paused_that_exist_and_come_from_git() -> None:
    stable, other = (made("apps/v1", "Deployment", name, labels=FLUX) for name in ("reviews", "ratings"))
    cluster = Cluster(deployments=[stable, other, made("apps/v1", "Deployment", "reviews-canary")])
    before = copy.deepcopy(cluster.objects)
    one = paused(cluster, BY_PODS)
    assert cluster.writes == ["Deployment reviews"]
    assert one.end() == ["Flux applies Deployment shop/reviews again"]
    assert cluster.objects == before


def test_a_conflict_is_planned_again_and_not_for_ever() -> None:
    cluster = Cluster(virtualservices=[route(labels=FLUX)])
    cluster.conflicts = 3
    one = paused(cluster)
    assert cluster.writes == ["VirtualService reviews"]
    cluster.conflicts = 100
    with pytest.raises(Conflict):
        one.end()


def _unreadable(cluster: Cluster) -> None:
    cluster.forbidden = {APPLICATION}


def _not_writable(cluster: Cluster) -> None:
    cluster.access_review = lambda _verb, resource, _namespace: resource.plural == ROUTE  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("prepare", "words"),
    [(_unreadable, "cannot be read"), (_not_writable, "no right to patch applications.argoproj.io in argocd")],
)
def test_what_cannot_be_paused_is_refused_before_a_write(prepare: Callable[[Cluster], None], words: str) -> None:
    cluster = Cluster(virtualservices=[route(annotations=TRACKED)], applications=[application()])
    prepare(cluster)
    with pytest.raises(Refused, match=words):
        paused(cluster)
    assert cluster.writes == []


def test_an_application_that_is_gone_is_a_warning() -> None:
    cluster = Cluster(virtualservices=[route(annotations=TRACKED)], applications=[application()])
    paused(cluster)
    del cluster.objects[APPLICATION]["shop"]
    one = work(cluster)
    one.end()
    assert "annotations" in cluster.objects[ROUTE]["reviews"]["metadata"]
    assert pause.PAUSE not in cluster.objects[ROUTE]["reviews"]["metadata"]["annotations"]
    assert "cannot be read" in one.warnings[0]
