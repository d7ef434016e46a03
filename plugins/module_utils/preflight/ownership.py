# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Preflight: objects that other tools write too. Pure.

A controller that owns a route (Argo Rollouts, Flagger, any ownerReference) writes it again and again: an error.
A tool that applies it from Git or a chart writes it at its next run: a warning, an error if that run is known to come.
"""

from __future__ import annotations

import typing as t

from ..findings import Finding
from ..gitops import pause
from ..gitops.appliers import ARGO, application_of, applier_of, is_application, managers_of
from ..objects.metadata import full_name, identity
from ..objects.owners import scaling_owner
from ..objects.pods import annotations_of, labels_of
from ..routing.overview import routing_objects

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot

ROLLOUTS_HASH: t.Final = "rollouts-pod-template-hash"


def inspect(snapshot: Snapshot, service: ServiceRef, applications: Sequence[Object] | None) -> Iterator[Finding]:
    """Yield a finding for each routing object of the service that somebody else writes.

    applications: those of Argo CD; None if they were not read.
    """
    yield from of_objects(routing_objects(snapshot, service), applications)


def of_objects(objects: Iterable[Object], applications: Sequence[Object] | None = None) -> Iterator[Finding]:
    """Yield a finding for each object that somebody else writes."""
    for obj in objects:
        owner = controller_of(obj)
        if owner:
            yield Finding(
                "OWNED_BY_CONTROLLER", full_name(obj), f"It is managed by {owner}, which would revert every change."
            )
            continue
        applied = applier_of(obj)
        if applied is None:
            continue
        tool, evidence, reverts = applied
        services = pause.paused_for(obj)
        if services:
            yield Finding(
                "GITOPS_PAUSED", full_name(obj), f"{tool} is paused for it by the rollout of {', '.join(services)}."
            )
            continue
        if tool == ARGO and applications is not None:
            reverts = any(_heals(one, obj) for one in applications if is_application(one, application_of(obj)))
        if reverts:
            reason = f"{tool} applies it ({evidence}) and reverts every change."
            yield Finding("REVERTED_BY_GITOPS", full_name(obj), reason, _suspend(tool, obj))
        else:
            yield Finding(
                "APPLIED_BY_TOOL",
                full_name(obj),
                f"{tool} applies it ({evidence}); its next run may revert the change.",
            )


def controller_of(obj: Object) -> str | None:
    """Return the controller that writes the object for its own purposes, None if there is no sign of one."""
    for reference in (obj.get("metadata") or {}).get("ownerReferences") or ():
        group = str(reference.get("apiVersion") or "").partition("/")[0]
        named = f"{reference.get('kind')} {reference.get('name')}"
        if group == "flagger.app":
            return f"Flagger ({named})"
        if group == "argoproj.io":
            return f"Argo Rollouts ({named})"
        if reference.get("controller"):
            return scaling_owner(obj)
    managers = managers_of(obj)
    marks = [*annotations_of(obj), *labels_of(obj)]
    if any(mark.startswith("argo-rollouts.argoproj.io/") for mark in marks) or _has_rollout_hash(obj):
        return "Argo Rollouts"
    if any(mark.startswith("rollouts.kruise.io/") for mark in marks):
        return "OpenKruise Rollouts"
    if "rollouts-controller" in managers:
        return "Argo Rollouts (field manager rollouts-controller)"
    if "flagger" in managers:
        return "Flagger (field manager flagger)"
    return None


def argo_applies(snapshot: Snapshot, service: ServiceRef) -> bool:
    """Return whether Argo CD applies one of the service's routing objects: then its Applications are worth reading."""
    return any((applier_of(one) or ("",))[0] == ARGO for one in routing_objects(snapshot, service))


def _heals(application: Object, obj: Object) -> bool:
    """Return whether the Application puts its own version of the object back as soon as somebody changes the routes."""
    spec = application.get("spec") or {}
    automated = (spec.get("syncPolicy") or {}).get("automated") or {}
    if not automated.get("selfHeal") or automated.get("enabled") is False:
        return False
    return not any(_leaves_routes(one, obj) for one in spec.get("ignoreDifferences") or ())


def _leaves_routes(ignored: Object, obj: Object) -> bool:
    """Return whether an entry of ignoreDifferences is about the object's routes."""
    namespace, name = identity(obj)
    meant = {"kind": obj.get("kind"), "namespace": namespace, "name": name}
    if any(ignored.get(key) and ignored[key] not in ("*", value) for key, value in meant.items()):
        return False
    paths = [*(ignored.get("jsonPointers") or ()), *(ignored.get("jqPathExpressions") or ())]
    return any(str(path).startswith(("/spec", ".spec")) for path in paths)


def _has_rollout_hash(obj: Object) -> bool:
    subsets = (obj.get("spec") or {}).get("subsets") or ()
    return any(ROLLOUTS_HASH in (subset.get("labels") or {}) for subset in subsets)


def _suspend(tool: str, obj: Object) -> str:
    if tool == "Flux":
        labels = labels_of(obj)
        name = labels.get("kustomize.toolkit.fluxcd.io/name")
        namespace = labels.get("kustomize.toolkit.fluxcd.io/namespace")
        return (
            "Pause it during a rollout: -e rollout_pause_gitops=until_handback (pause_gitops: until_handback). Or "
            f"suspend its Kustomization: flux suspend kustomization {name} -n {namespace}; or change the routes in Git."
        )
    if tool == ARGO:
        return (
            "Pause it during a rollout: -e rollout_pause_gitops=until_handback (pause_gitops: until_handback). Or "
            f"switch self-heal off while the canary runs: argocd app set {application_of(obj) or 'APP'} "
            "--self-heal=false; or make it ignore the routes: ignoreDifferences with the JSON pointer /spec/http, "
            "and the sync option RespectIgnoreDifferences=true."
        )
    return ""
