# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A service that Argo CD applies: its Application leaves the routes alone in a rollout, and is as before at the end.

The CRD of the Application is a stub without a schema, and no Argo CD runs.
"""

from __future__ import annotations

import typing as t

import pytest
from support.direct import AT_ONCE, ISTIO, destination_rule, service, virtual_service

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from support.direct import Direct
    from support.kube import Kube, Object

pytestmark = pytest.mark.alone  # elsewhere it is tested that no Application can be read

ARGO = "argoproj.io/v1alpha1"
CRD = "apiextensions.k8s.io/v1"
PLAN: dict[str, t.Any] = {
    **AT_ONCE,
    "steps": [10],
    "force": ["CAPACITY_BELOW_SHARE", "SUBSET_NOT_READY"],
    "pause_gitops": "until_end",
}
SPEC = {"project": "default", "syncPolicy": {"automated": {"selfHeal": True}}}


@pytest.fixture(scope="module", autouse=True)
def stub(kube: Kube) -> Iterator[None]:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    names = {"kind": "Application", "plural": "applications"}
    versions = [{"name": "v1alpha1", "served": True, "storage": True, "schema": schema}]
    spec = {"group": "argoproj.io", "names": names, "scope": "Namespaced", "versions": versions}
    name = "applications.argoproj.io"
    kube.apply({"apiVersion": CRD, "kind": "CustomResourceDefinition", "metadata": {"name": name}, "spec": spec})
    kube.wait_until(lambda: served(kube), 60, "the stub of Application is served")
    yield
    kube.delete(CRD, "CustomResourceDefinition", name)


def served(kube: Kube) -> bool:
    try:
        kube.request("GET", f"/apis/{ARGO}/applications")
    except AssertionError:
        return False
    return True


@pytest.fixture
def tracked(kube: Kube, namespace: str) -> str:
    """The namespace of a service with an Application of the namespace's name, which heals itself."""
    route = virtual_service()
    key = f"{namespace}:networking.istio.io/VirtualService:{namespace}/reviews"
    route["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] = key
    application = {"apiVersion": ARGO, "kind": "Application", "metadata": {"name": namespace}, "spec": SPEC}
    kube.apply(service(), destination_rule(), route, application, namespace=namespace)
    return namespace


def read(kube: Kube, namespace: str) -> tuple[Object, Object]:
    application = kube.get(ARGO, "Application", namespace, namespace)
    route = kube.get(ISTIO, "VirtualService", "reviews", namespace)
    assert application
    assert route
    return application, route


def test_the_application_leaves_the_routes_alone_and_is_as_before(direct: Direct, kube: Kube, tracked: str) -> None:
    during: list[Object] = []

    def show(module: str, _part: t.Mapping[str, t.Any]) -> None:
        if module == "canary_weight":
            during.append(read(kube, tracked)[0]["spec"])

    assert "[REVERTED_BY_GITOPS]" in direct("rollout", fails=True, **{**PLAN, "pause_gitops": "never"})["msg"]
    direct.show = show
    result = direct("rollout", **PLAN)
    for spec in during:
        [entry] = spec["ignoreDifferences"]
        assert (entry["kind"], entry["name"], entry["namespace"]) == ("VirtualService", "reviews", tracked)
        assert spec["syncPolicy"] == {**SPEC["syncPolicy"], "syncOptions": ["RespectIgnoreDifferences=true"]}
    assert len(during) >= 2
    assert f"Argo CD applies VirtualService {tracked}/reviews again" in result["lines"]
    application, route = read(kube, tracked)
    assert application["spec"] == SPEC
    assert "annotations" not in application["metadata"]
    assert set(route["metadata"]["annotations"]) == {"team", "argocd.argoproj.io/tracking-id"}


def test_an_object_that_was_replaced_leaves_no_entry_behind(direct: Direct, kube: Kube, tracked: str) -> None:
    """Its mark is gone with it; the Application is found by the object that another pause names."""

    def show(module: str, _part: t.Mapping[str, t.Any]) -> None:
        if module == "canary_weight":
            mark = {"metadata": {"annotations": {"canary.meshops.io/gitops-pause": None}}}
            kube.patch(ISTIO, "VirtualService", "reviews", tracked, mark)

    direct.show = show
    direct("rollout", **PLAN)
    assert read(kube, tracked)[0]["spec"] == SPEC


def test_an_application_of_a_set_is_refused_before_anything_is_written(
    direct: Direct, kube: Kube, tracked: str
) -> None:
    owner = {"apiVersion": ARGO, "kind": "ApplicationSet", "name": "all", "uid": "1", "controller": True}
    kube.patch(ARGO, "Application", tracked, tracked, {"metadata": {"ownerReferences": [owner]}})
    for check in (True, False):
        message = direct("rollout", fails=True, check_mode=check, **PLAN)["msg"]
        assert "which ApplicationSet all writes" in message
        assert "rollout_pause_gitops: never" in message
    assert kube.get("v1", "ConfigMap", "canary-rollout-reviews", tracked) is None
    assert read(kube, tracked)[0]["spec"] == SPEC
