# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which version Istio's metrics mean: by the pod's label, and where nobody answered by workload and revision."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.routing import overview, version_labels
from support import istio_metrics, reviews

if t.TYPE_CHECKING:
    from ansible_collections.meshops.canary.plugins.module_utils.analysis.traffic import Names

SERVICE = ServiceRef("reviews", "shop")
Object = dict[str, t.Any]
Labels = dict[str, str]


def pod(deployment: str, **labels: str) -> Object:
    """Return a pod of the Deployment, owned as Kubernetes does it."""
    own = {"app": "reviews", "pod-template-hash": "7d", **labels}
    owner = {"kind": "ReplicaSet", "name": f"{deployment}-7d", "controller": True}
    return reviews.changed(reviews.pod(f"{deployment}-7d-x", own, "shop"), metadata={"ownerReferences": [owner]})


def deployment(name: str, **labels: str) -> Object:
    found = reviews.deployment(f"{name}-x", 1, "shop")
    found["metadata"]["name"] = name
    found["spec"]["template"]["metadata"]["labels"] = {"app": "reviews", **labels}
    return found


def names(subsets: dict[str, Labels], *objects: Object) -> Names:
    """Return how versions are told apart with these subsets and these pods and Deployments."""
    lists = {
        plural: [one for one in objects if one["kind"] == kind]
        for kind, plural in (("Pod", "pods"), ("Deployment", "deployments"))
    }
    snapshot = Snapshot(services=[reviews.service("shop")], **lists)
    return version_labels.names(
        snapshot, SERVICE, {**overview.unknown_description(snapshot, SERVICE), "subsets": subsets}
    )


BY_VERSION = {"v1": {"version": "v1"}, "v2": {"version": "v2"}}
BY_TRACK = {"stable": {"track": "stable"}, "canary": {"track": "canary"}}


def labels_of_versions(found: Names, **labels: t.Any) -> str:
    return found.version_of(istio_metrics.labels(**labels))


def test_a_request_without_an_answer_belongs_to_the_workload_it_was_sent_to() -> None:
    found = names(BY_VERSION, pod("reviews-v1", version="v1"), pod("reviews-v2", version="v2"))
    assert found.workloads == {"shop/reviews-v1": "v1", "shop/reviews-v2": "v2"}
    for code, flags in ((503, "UF,URX"), (503, "UC"), (504, "UT"), (0, "DC")):
        assert labels_of_versions(found, version="v2", code=code, known="endpoint", response_flags=flags) == "v2"
    assert labels_of_versions(found, version="v2", code=503, known="nothing", response_flags="UH") == ""


def test_deployments_identify_versions_before_pods_exist() -> None:
    for one in (deployment("reviews-two", version="v2"), pod("reviews-two", version="v2")):
        found = names(BY_VERSION, one)
        labels = {"destination_workload": "reviews-two", "destination_canonical_revision": "1.17"}
        assert labels_of_versions(found, version="v2", code=503, known="endpoint", **labels) == "v2"


def test_without_pods_and_deployments_the_subsets_labels_are_used() -> None:
    found = names(BY_VERSION)
    assert found.workloads == {}
    assert labels_of_versions(found, version="v2", code=503, known="endpoint") == "v2"


@pytest.mark.parametrize(
    ("labels", "revision"),
    [
        ({"version": "v2"}, "v2"),
        ({"version": "v2", "app.kubernetes.io/version": "1.17.0"}, "1.17.0"),
        ({"version": "v2", "app.kubernetes.io/version": "1.17.0", "service.istio.io/canonical-revision": "r"}, "r"),
    ],
)
def test_the_canonical_revision_is_the_first_of_three_labels(labels: Labels, revision: str) -> None:
    found = names(BY_TRACK, pod("reviews-next", track="canary", **labels))
    nobody = {"destination_workload": "unknown", "destination_canonical_revision": revision}
    assert labels_of_versions(found, version="v2", code=503, known="endpoint", **nobody) == "canary"


def test_the_label_comes_first_then_the_workload_then_the_revision() -> None:
    found = names(BY_VERSION, pod("reviews-v1", version="v1"), pod("reviews-v2", version="v2"))
    assert labels_of_versions(found, version="v1", destination_workload="reviews-v2") == "v1"
    assert labels_of_versions(found, version="v1", known="endpoint", destination_workload="reviews-v2") == "v2"
    assert labels_of_versions(found, version="v7", destination_workload="reviews-v2") == "v2", (
        "a label that no subset knows"
    )
    assert labels_of_versions(found, version="v7") == "v7"


def test_subsets_by_any_label_are_identified_by_their_pods_metric_labels() -> None:
    """Istio's destination_version is the pod's label `version`, whatever the subset selects by."""
    pods = [pod("reviews", track="stable", version="1.16"), pod("reviews-canary", track="canary", version="1.17")]
    found = names(BY_TRACK, *pods)
    assert [labels_of_versions(found, version=one) for one in ("1.16", "1.17")] == ["stable", "canary"]
    assert found.label_of("canary") == "1.17"
    plain = names(BY_TRACK, pod("reviews", track="stable"), pod("reviews-canary", track="canary"))
    nobody = {"destination_version": "unknown", "destination_canonical_revision": "latest"}
    assert labels_of_versions(plain, version="x", destination_workload="reviews-canary", **nobody) == "canary"
    assert labels_of_versions(plain, version="x", destination_workload="reviews", **nobody) == "stable"
    assert plain.revisions == {}, "latest is also what Istio says of a pod that it does not know"
    kubernetes = {"old": {"app.kubernetes.io/version": "1.16"}, "new": {"app.kubernetes.io/version": "1.17"}}
    assert (
        labels_of_versions(names(kubernetes), version="1.17", known="endpoint", destination_workload="unknown") == "new"
    )
    assert names(kubernetes).label_of("new") == "1.17"


def test_shared_labels_do_not_identify_a_version() -> None:
    """A pod's own version label may be the same on both, and the Deployments still differ."""
    both = [pod("reviews", track="stable", version="v1"), pod("reviews-canary", track="canary", version="v1")]
    found = names(BY_TRACK, *both)
    assert (found.labels, found.revisions) == ({}, {})
    assert labels_of_versions(found, version="v1", destination_workload="reviews-canary") == "canary"
    one = names(BY_TRACK, pod("reviews", track="stable"), pod("reviews", track="canary"))
    assert one.workloads == {}


def test_latest_is_a_version_but_not_a_revision() -> None:
    found = names({"v1": {"version": "v1"}, "v2": {"version": "latest"}}, pod("reviews-v2", version="latest"))
    assert labels_of_versions(found, version="latest", destination_workload="unknown") == "v2"
    assert labels_of_versions(found, version="x", code=503, known="nothing", response_flags="UH") == ""


def test_a_subset_of_all_pods_does_not_take_pods_of_other_subsets() -> None:
    found = names({**BY_VERSION, "all": {}, "app": {"app": "reviews"}}, pod("reviews-v2", version="v2"))
    assert found.workloads == {"shop/reviews-v2": "v2"}
    assert labels_of_versions(found, version="v2") == "v2"


def test_a_workload_label_overrides_the_owner_and_foreign_pods_are_ignored() -> None:
    own = pod("reviews-v2", version="v2", **{"service.istio.io/workload-name": "vm"})
    cart = pod("cart", version="v2", app="cart")
    elsewhere = reviews.changed(deployment("far", version="v2"), metadata={"namespace": "other"})
    assert names(BY_VERSION, own, cart, elsewhere).workloads == {"shop/vm": "v2"}
