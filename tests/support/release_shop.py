# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A shop for releases of two services, the one a caller of the other: ratings v1 -> v2, and reviews v2 -> v3."""

from __future__ import annotations

import contextlib
import typing as t

from .direct import ISTIO, destination_rule, essence, virtual_service
from .rollouts import METRICS

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .kube import Object
    from .rollouts import Stage

NAME = "shop-42"
VERSIONS = {"ratings": ("v1", "v2"), "reviews": ("v2", "v3")}
OLD = {"ratings": {"v1": 100}, "reviews": {"v2": 100}}
NEW = {"ratings": {"v2": 100}, "reviews": {"v3": 100}}
FORCE = ["CAPACITY_BELOW_SHARE"]
QUICK = {"pause": 2, "deadline": 120, "capacity": False, "force": FORCE, "drain": 1, "metrics": METRICS}


@contextlib.contextmanager
def with_ratings(stage: Stage) -> Iterator[Stage]:
    """Add routes for ratings, and a v2 of it that nobody uses yet; remove them afterwards."""
    kube, space = stage.kube, stage.shop.namespace
    deployment = essence(kube.get("apps/v1", "Deployment", "ratings-v1", space))
    assert deployment
    spec = deployment["spec"]
    labels = {**spec["selector"]["matchLabels"], "version": "v2"}
    spec["selector"] = {"matchLabels": labels}
    spec["template"]["metadata"]["labels"] = labels
    second = {**deployment, "metadata": {"name": "ratings-v2", "labels": labels}}
    second.pop("status", None)
    kube.apply(second, namespace=space)
    kube.wait_available(["ratings-v2"], space)
    begin_anew(stage)
    try:
        yield stage
    finally:
        forget(stage)
        kube.delete("apps/v1", "Deployment", "ratings-v2", space)
        for kind in ("VirtualService", "DestinationRule"):
            kube.delete(ISTIO, kind, "ratings", space)


def begin_anew(stage: Stage) -> None:
    """Give the old versions all requests, and delete the records."""
    forget(stage)
    routes = (destination_rule("ratings"), virtual_service(name="ratings", host="ratings"))
    stage.kube.delete(ISTIO, "VirtualService", "ratings", stage.shop.namespace)
    stage.kube.apply(*routes, namespace=stage.shop.namespace)


def forget(stage: Stage) -> None:
    """Delete the records of rollouts and of the release, and give reviews v2 all requests."""
    space = stage.shop.namespace
    for name in ("canary-rollout-ratings", f"canary-release-{NAME}"):
        stage.kube.delete("v1", "ConfigMap", name, space)
    stage.kube.delete("coordination.k8s.io/v1", "Lease", "canary-ratings", space)
    stage.reset()


def services(namespace: str) -> list[dict[str, str]]:
    """Return the services of the release. namespace: theirs, also as an expression."""
    return [
        {"service": name, "namespace": namespace, "stable": stable, "canary": canary}
        for name, (stable, canary) in VERSIONS.items()
    ]


def weights(stage: Stage) -> dict[str, dict[str, float]]:
    """Return service -> version -> percent, without those of 0."""
    found = {}
    for name in VERSIONS:
        obj: Object | None = stage.kube.get(ISTIO, "VirtualService", name, stage.shop.namespace)
        assert obj
        entries = obj["spec"]["http"][-1]["route"]
        found[name] = {one["destination"]["subset"]: one.get("weight", 100) for one in entries}
    return {name: {version: share for version, share in one.items() if share} for name, one in found.items()}
