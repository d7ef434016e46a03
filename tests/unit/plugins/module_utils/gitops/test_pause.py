# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tools are paused by their own means, for single objects, and what is undone is exactly what was done."""

from __future__ import annotations

import copy
import json
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import Refused
from ansible_collections.meshops.canary.plugins.module_utils.gitops import field_owners, pause
from ansible_collections.meshops.canary.plugins.module_utils.gitops.appliers import application_of, applier_of
from ansible_collections.meshops.canary.plugins.module_utils.gitops.last_writers import last_writers

if t.TYPE_CHECKING:
    from ansible_collections.meshops.canary.plugins.module_utils.objects.change import Change

    Object = dict[str, t.Any]

FLUX = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
HELM = {"helm.toolkit.fluxcd.io/name": "shop", "helm.toolkit.fluxcd.io/namespace": "flux-system"}
TRACKED = {"argocd.argoproj.io/tracking-id": "shop:networking.istio.io/VirtualService:shop/reviews"}
RECONCILE = "kustomize.toolkit.fluxcd.io/reconcile"
DRIFT = "helm.toolkit.fluxcd.io/driftDetection"


def route(labels: Object | None = None, annotations: Object | None = None, manager: str = "kubectl") -> Object:
    metadata: Object = {"name": "reviews", "namespace": "shop", "resourceVersion": "1"}
    metadata["managedFields"] = [{"manager": manager, "operation": "Apply", "fieldsV1": {"f:spec": {"f:http": {}}}}]
    metadata |= {"labels": labels} if labels else {}
    metadata |= {"annotations": annotations} if annotations else {}
    return {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": metadata, "spec": {}}


def application(**spec: t.Any) -> Object:
    metadata = {"name": "shop", "namespace": "argocd", "resourceVersion": "1"}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": metadata, "spec": spec}


def written(change: Change | None) -> Object:
    """Return the object as the change leaves it: there must be one."""
    assert change is not None
    assert change.after is not None
    return change.after


@pytest.mark.parametrize(
    ("obj", "tool", "sign"),
    [
        (route(), None, None),
        (route({"app.kubernetes.io/instance": "shop"}), None, None),
        (route({"app.kubernetes.io/instance": "shop"}, manager="argocd-controller"), "Argo CD", "instance: shop"),
        (route(manager="argocd-application-controller"), "Argo CD", "field manager argocd-application-controller"),
        (route(annotations=TRACKED), "Argo CD", "tracking-id"),
        (route(FLUX), "Flux", "Kustomization flux-system/apps"),
        (route(HELM), "Flux", "HelmRelease flux-system/shop"),
        (route(manager="helm-controller"), "Flux", "field manager helm-controller"),
        (route({"app.kubernetes.io/managed-by": "Helm"}), "Helm", "release unknown"),
    ],
)
def test_who_applies_it(obj: Object, tool: str | None, sign: str | None) -> None:
    found = applier_of(obj)
    assert (found and found.tool) == tool
    assert found is None or str(sign) in found.sign


@pytest.mark.parametrize(("labels", "key"), [(FLUX, RECONCILE), (HELM, DRIFT)])
@pytest.mark.parametrize("annotations", [None, {"team": "reading"}])
def test_flux_is_paused_by_an_annotation_of_the_object(labels: Object, key: str, annotations: Object | None) -> None:
    obj = route(labels, annotations)
    paused = written(pause.pause(obj, "shop/reviews"))
    assert paused["metadata"]["annotations"][key] == "disabled"
    assert pause.paused_for(paused) == ("shop/reviews",)
    assert pause.pause(paused, "shop/reviews") is None
    undone = written(pause.resume(paused, "shop/reviews"))
    assert undone == obj
    assert pause.resume(obj, "shop/reviews") is None
    assert bool(pause.limits(obj)) == (labels is HELM)


def test_the_last_of_two_services_resumes_it() -> None:
    obj = route(FLUX)
    for service in ("shop/reviews", "shop/ratings"):
        obj = written(pause.pause(obj, service))
    first = written(pause.resume(obj, "shop/reviews"))
    assert first["metadata"]["annotations"][RECONCILE] == "disabled"
    last = written(pause.resume(first, "shop/ratings"))
    assert last == route(FLUX)


def test_what_somebody_else_has_disabled_stays_disabled() -> None:
    assert pause.pause(route(FLUX, {RECONCILE: "disabled"}), "shop/reviews") is None
    paused = written(pause.pause(route(FLUX), "shop/reviews"))
    paused["metadata"]["annotations"][RECONCILE] = "enabled"
    undone = written(pause.resume(paused, "shop/reviews"))
    assert undone == route(FLUX, {RECONCILE: "enabled"})


def test_a_value_of_the_source_would_override_the_pause() -> None:
    with pytest.raises(Refused, match="reconcile: enabled from its source"):
        pause.pause(route(FLUX, {RECONCILE: "enabled"}), "shop/reviews")


@pytest.mark.parametrize("text", ["{", "[]", '{"services": "x"}', '{"services": [1]}'])
def test_an_annotation_of_somebody_else_is_refused_and_no_pause(text: str) -> None:
    obj = route(FLUX, {pause.PAUSE: text})
    assert pause.paused_for(obj) == ()
    with pytest.raises(Refused, match="was not written by this collection"):
        pause.pause(obj, "shop/reviews")


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"syncPolicy": {"automated": {"selfHeal": True}}},
        {"syncPolicy": {"syncOptions": ["CreateNamespace=true"]}, "ignoreDifferences": [{"kind": "Secret"}]},
        {"syncPolicy": {"syncOptions": ["RespectIgnoreDifferences=true"]}},
    ],
    ids=str,
)
def test_argo_cd_ignores_the_written_fields_of_the_object(spec: Object) -> None:
    before, obj = application(**spec), route(annotations=TRACKED)
    paused = written(pause.pause_application(copy.deepcopy(before), obj))
    added = paused["spec"]["ignoreDifferences"][-1]
    assert (added["group"], added["kind"], added["namespace"], added["name"]) == (
        "networking.istio.io",
        "VirtualService",
        "shop",
        "reviews",
    )
    assert "/spec/http" in added["jsonPointers"]
    assert paused["spec"]["syncPolicy"]["syncOptions"][-1] == "RespectIgnoreDifferences=true"
    assert paused["spec"]["syncPolicy"].get("automated") == spec.get("syncPolicy", {}).get("automated")
    assert pause.pause_application(paused, obj) is None
    assert pause.objects_of(paused) == ("VirtualService shop/reviews",)
    undone = written(pause.resume_application(paused, "VirtualService shop/reviews"))
    assert undone == before
    assert pause.resume_application(before, "VirtualService shop/reviews") is None


def test_the_option_stays_until_the_last_object_is_resumed() -> None:
    first, second = route(annotations=TRACKED), route(annotations=TRACKED)
    second["metadata"]["name"] = "ratings"
    app = application()
    for obj in (first, second):
        app = written(pause.pause_application(app, obj))
    one = written(pause.resume_application(app, "VirtualService shop/reviews"))
    assert one["spec"]["syncPolicy"] == {"syncOptions": ["RespectIgnoreDifferences=true"]}
    last = written(pause.resume_application(one, "VirtualService shop/ratings"))
    assert last == application()


def test_the_object_names_its_application() -> None:
    paused = written(pause.pause(route(annotations=TRACKED), "shop/reviews"))
    mark = json.loads(paused["metadata"]["annotations"][pause.PAUSE])
    assert mark == {"tool": "Argo CD", "application": "shop", "services": ["shop/reviews"]}
    assert pause.application_name(paused) == "shop" == application_of(route(annotations=TRACKED))


@pytest.mark.parametrize(
    ("applications", "words"),
    [
        (None, ["cannot be read", "argocd app set APP --sync-policy none"]),
        ([], ["0 Applications are named shop"]),
        (
            [
                {
                    **application(),
                    "metadata": {
                        **application()["metadata"],
                        "ownerReferences": [
                            {
                                "controller": True,
                                "kind": "ApplicationSet",
                                "name": "all",
                                "apiVersion": "argoproj.io/v1alpha1",
                            }
                        ],
                    },
                }
            ],
            ["which ApplicationSet all writes"],
        ),
        (
            [
                {
                    **application(),
                    "metadata": {
                        **application()["metadata"],
                        "annotations": {"argocd.argoproj.io/tracking-id": "root:argoproj.io/Application:argocd/shop"},
                    },
                }
            ],
            ["which Argo CD (argocd.argoproj.io/tracking-id: root", "it would revert the pause"],
        ),
    ],
    ids=["unreadable", "unknown", "of a set", "of another Application"],
)
def test_an_application_that_cannot_be_changed_is_refused(applications: list[Object] | None, words: list[str]) -> None:
    with pytest.raises(Refused) as caught:
        pause.find_application(route(annotations=TRACKED), applications)
    assert all(word in caught.value.msg for word in [*words, "Nothing was written", "rollout_pause_gitops: never"])


def test_helm_has_no_pause() -> None:
    obj = route({"app.kubernetes.io/managed-by": "Helm"})
    assert pause.pause(obj, "shop/reviews") is None
    assert "has no pause" in pause.limits(obj)


def test_our_claims_on_the_spec_are_given_back_and_no_others() -> None:
    obj = route(FLUX, manager="kustomize-controller")
    ours = {"manager": "meshops.canary", "operation": "Update", "time": "2026-01-01T00:00:00Z"}
    notes = {"f:metadata": {"f:annotations": {"f:canary.meshops.io/state": {}}}}
    theirs = obj["metadata"]["managedFields"][0]
    obj["metadata"]["managedFields"] += [
        {**ours, "fieldsV1": {"f:spec": {"f:http": {}}, **notes}},
        {**ours, "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
    ]
    given = written(field_owners.give_back(obj))
    assert given["metadata"]["managedFields"] == [theirs, {**ours, "fieldsV1": notes}]
    assert given["spec"] == obj["spec"]
    assert field_owners.give_back(given) is None


@pytest.mark.parametrize(
    ("manager", "sentence"),
    [
        ("meshops.canary", ""),
        (
            "kustomize-controller",
            "VirtualService shop/reviews was last written by Flux (field manager kustomize-controller)",
        ),
        ("kubectl-edit", "VirtualService shop/reviews was last written by field manager kubectl-edit"),
    ],
)
def test_the_last_writer_of_shares_is_named(manager: str, sentence: str) -> None:
    rule = {**route(manager="helm"), "kind": "DestinationRule"}
    assert last_writers([route(manager=manager), rule]) == sentence
