# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is checked before the record of a rollout is created, so that it does not fail at its end."""

from __future__ import annotations

import re
import typing as t

from ..errors import InvalidInput, Refused
from ..evidence.analysis_options import prometheus_of
from ..kube.resources import DEPLOYMENT, POD
from ..objects.hosts import is_outside
from ..objects.intents import RestoreWeights
from ..routing import overview, plan
from ..task.reading import ROUTES, Reader

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..kube.client import Cluster
    from ..objects.hosts import ServiceRef
    from ..objects.snapshot import Snapshot
    from ..rollout.steps import Rollout

    Version = Mapping[str, t.Any]

_LISTS: t.Final = ("services", "deployments", "hpas", "pods", *ROUTES)


def versions_of(cluster: Cluster, service: ServiceRef, api: str, named: Iterable[str]) -> list[dict[str, t.Any]]:
    """Return the versions with weights, Deployments and autoscalers, as canary_info does. Raises CanaryError.

    named: Services of these names are versions though no route sends to them.
    """
    versions = tuple(named)
    reader = Reader(cluster, service, wide=True)
    snapshot = reader.snapshot(_LISTS)
    description = reader.decide(lambda state: plan.describe(state, service, api=api, versions=versions), _LISTS)[1]
    return overview.versions(snapshot, service, description, None)


def weights_before(cluster: Cluster, service: ServiceRef, api: str, named: Iterable[str]) -> dict[str, float]:
    """Return the weights that the routes had before this collection changed them; those of now if it did not.

    They are noted in the routing objects themselves, so whoever can forge them may write the routes as well.
    named: as for `versions_of`. Raises CanaryError.
    """
    versions = tuple(named)

    def decide(snapshot: Snapshot) -> dict[str, float]:
        restored = snapshot.after(plan.plan(snapshot, service, RestoreWeights(), api=api).changes)
        return dict(plan.describe(restored, service, api=api, versions=versions)["weights"])

    return Reader(cluster, service, wide=True).decide(decide, ROUTES)[1]


def version(versions: Sequence[Version], name: str) -> Version:
    """Return the version with this name, {} if there is none."""
    return next((one for one in versions if one.get("version") == name), {})


def number_of_pods(given: t.Any) -> int | None:
    """Return old_replicas as a number, None if it is not set. Raises InvalidInput."""
    if given in (None, ""):
        return None
    if not re.fullmatch("[0-9]+", str(given)):
        raise InvalidInput(f"old_replicas must be a number of pods, not {given}.")
    return int(given)


def check_pod_options(params: Mapping[str, t.Any]) -> None:
    """Raise InvalidInput for options of canaries by pods where routes make the shares."""
    for option, unset in (("labels", {}), ("max_error", 100.0)):
        if params["route_api"] != "replicas" and params[option] != unset:
            raise InvalidInput(
                f"{option} needs route_api: replicas. With routes the canary's pods exist already, and its share is "
                f"exact. Leave {option} out."
            )


def check_outside(service: ServiceRef, rollout: Rollout, params: Mapping[str, t.Any]) -> None:
    """Raise InvalidInput for what a rollout cannot do with the host of a ServiceEntry."""
    hosts = [one for one in rollout.versions if is_outside(one)]
    if params["capacity"] and hosts and not rollout.by_pods:
        raise InvalidInput(
            f"capacity: version {hosts[0]} of {service.name} is the host of a ServiceEntry, which cannot be scaled. "
            "See to the capacity of its versions yourself, and set capacity: false (rollout_capacity: false for the "
            "role)."
        )
    if not service.is_outside:
        return
    if rollout.by_pods:
        raise InvalidInput(
            f"route_api: {service.name} is the host of a ServiceEntry, so its share cannot be the ratio of pods. Leave "
            "route_api out, and route it by a VirtualService."
        )
    if params["approval"] == "annotation" and any(step.gate == "manual" for step in rollout.steps):
        raise InvalidInput(
            f"steps: a manual gate is answered by an annotation on the Service, and {service.name} is none. Use a "
            "timed gate, or approval: terminal."
        )


def check_rights(cluster: Cluster, service: ServiceRef, rollout: Rollout, params: Mapping[str, t.Any]) -> None:
    """Raise Refused if steps are judged by the proxies' counters and these may not be read."""
    judged = any(step.analysis for step in rollout.steps) and not rollout.by_pods
    if not judged or prometheus_of(params) is not None:
        return
    if not cluster.access_review("get", POD, service.namespace, subresource="proxy"):
        raise Refused(
            f"The canary could not be judged: you have no right to get pods/proxy in {service.namespace}, by which "
            "requests are counted at the proxies. Nothing was written. Grant the Role Rollout of docs/rights.md, give "
            "prometheus_url, or set analysis: false."
        )


def check_pause(params: Mapping[str, t.Any]) -> None:
    """Raise Refused if the pause of a GitOps tool would end while Git sends requests to pods that are gone."""
    gone = number_of_pods(params["old_replicas"]) == 0
    if params["pause_gitops"] == "until_end" and gone and "on_promote" not in params["return_at"]:
        raise Refused(
            "pause_gitops: until_end with old_replicas: 0 is refused, nothing was written. When the pause ends after "
            "the promotion, the tool applies the weights that are in Git, and the pods of stable are gone. Set "
            "pause_gitops: until_handback (rollout_pause_gitops: until_handback), or write the new state to Git in "
            "tasks of yours before that (rollout_on_promote)."
        )


def check_old_replicas(versions: Sequence[Version], stable: str, pods: int | None) -> None:
    """Raise Refused if the old version cannot be scaled to 0 at the end."""
    if pods != 0:
        return
    old = version(versions, stable)
    if old.get("cohorts"):
        raise Refused(
            f"A cohort is still routed to {stable}, so old_replicas: 0 would lose its requests. "
            "Remove the cohort first."
        )
    if old.get("hpa"):
        raise Refused(
            f"An autoscaler owns the pods of {stable}, and its minReplicas is at least 1. For 0 pods remove the "
            "autoscaler first (role meshops.canary.autoscale with autoscale_state=absent), or set old_replicas: 1."
        )


def check_baseline(
    cluster: Cluster, service: ServiceRef, versions: Sequence[Version], stable: str, baseline: str
) -> None:
    """Raise Refused if the baseline has not one Deployment of its own with the images of stable."""
    found = version(versions, baseline)
    names = list(found.get("deployments") or [])
    if len(names) != 1 or found.get("hpa"):
        autoscaler = ", and an autoscaler" if found.get("hpa") else ""
        raise Refused(
            f"baseline: version {baseline} of {service.namespace}/{service.name} has {len(names)} Deployments that its "
            f"subset selects{autoscaler}. Create one Deployment for it without an autoscaler, with the image of "
            f"{stable} and 0 replicas; or leave baseline out."
        )
    images = _images(cluster, service, names[0])
    others = [_images(cluster, service, name) for name in version(versions, stable).get("deployments") or ()]
    if any(one != images for one in others):
        theirs = ", ".join(sorted({image for one in others for image in one}))
        raise Refused(
            f"baseline: {baseline} runs {', '.join(images)} and {stable} runs {theirs}, so the comparison would be "
            f"invalid. Set the same image on Deployment {names[0]}; or leave baseline out."
        )


def _images(cluster: Cluster, service: ServiceRef, deployment: str) -> list[str]:
    found = cluster.get(DEPLOYMENT, service.namespace, deployment) or {}
    containers = (((found.get("spec") or {}).get("template") or {}).get("spec") or {}).get("containers") or []
    return sorted(str(one.get("image")) for one in containers)
