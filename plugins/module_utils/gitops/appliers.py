# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which tool applies an object from Git or from a chart: Argo CD, Flux, Helm. Pure."""

from __future__ import annotations

import typing as t

from ..objects.metadata import identity
from ..objects.pods import annotations_of, labels_of

if t.TYPE_CHECKING:
    from ..objects.metadata import Object

ARGO: t.Final = "Argo CD"
FLUX: t.Final = "Flux"
HELM: t.Final = "Helm"
TRACKING_ID: t.Final = "argocd.argoproj.io/tracking-id"
_ARGO_SIGNS: t.Final = (TRACKING_ID, "argocd.argoproj.io/instance")
_DEFAULT_LABEL: t.Final = "app.kubernetes.io/instance"
"""The label by which Argo CD tracks objects by default. Charts set it too, so it proves nothing alone."""
ARGO_MANAGERS: t.Final = ("argocd-controller", "argocd-application-controller")
KUSTOMIZATION: t.Final = "kustomize.toolkit.fluxcd.io/name"
HELM_RELEASE: t.Final = "helm.toolkit.fluxcd.io/name"
RECONCILE: t.Final = "kustomize.toolkit.fluxcd.io/reconcile"
SERVER_SIDE_APPLY: t.Final = "kustomize.toolkit.fluxcd.io/ssa"
DRIFT_DETECTION: t.Final = "helm.toolkit.fluxcd.io/driftDetection"
MANAGERS: t.Final[dict[str, str]] = {
    **dict.fromkeys(ARGO_MANAGERS, ARGO),
    "kustomize-controller": FLUX,
    "helm-controller": FLUX,
    "helm": HELM,
}
"""Field manager -> the tool that writes by this name."""


class Applier(t.NamedTuple):
    """What applies an object. sign: by what it is known. reverts: whether it surely reverts every change."""

    tool: str
    sign: str
    reverts: bool


def applier_of(obj: Object) -> Applier | None:
    """Return what applies the object, None without a sign."""
    labels, annotations, managers = labels_of(obj), annotations_of(obj), managers_of(obj)
    for key in _ARGO_SIGNS:
        value = annotations.get(key) or labels.get(key)
        if value:
            return Applier(ARGO, f"{key}: {value}", False)
    name = labels.get(KUSTOMIZATION)
    if name:
        left_alone = annotations.get(RECONCILE) == "disabled" or labels.get(RECONCILE) == "disabled"
        left_alone |= str(annotations.get(SERVER_SIDE_APPLY)).lower() in ("merge", "ifnotpresent", "ignore")
        return Applier(FLUX, f"Kustomization {labels.get(f'{_group(KUSTOMIZATION)}/namespace')}/{name}", not left_alone)
    name = labels.get(HELM_RELEASE)
    if name:
        return Applier(FLUX, f"HelmRelease {labels.get(f'{_group(HELM_RELEASE)}/namespace')}/{name}", False)
    argo = next((one for one in ARGO_MANAGERS if one in managers), None)
    if argo:
        tracked = labels.get(_DEFAULT_LABEL)
        return Applier(ARGO, f"field manager {argo}" + (f", {_DEFAULT_LABEL}: {tracked}" if tracked else ""), False)
    release = annotations.get("meta.helm.sh/release-name")
    if release or labels.get("app.kubernetes.io/managed-by") == HELM:
        return Applier(HELM, f"release {release or 'unknown'}", False)
    for manager, tool in MANAGERS.items():
        if manager in managers:
            return Applier(tool, f"field manager {manager}", False)
    return None


def application_of(obj: Object) -> str:
    """Return the Application that Argo CD says applies the object (`name`, or `namespace_name`), empty if not known."""
    annotations, labels = annotations_of(obj), labels_of(obj)
    tracked = annotations.get(TRACKING_ID, "").partition(":")[0]
    named = tracked or annotations.get(_ARGO_SIGNS[1]) or labels.get(_ARGO_SIGNS[1])
    by_label = labels.get(_DEFAULT_LABEL) if any(one in managers_of(obj) for one in ARGO_MANAGERS) else ""
    return str(named or by_label or "")


def is_application(application: Object, name: str) -> bool:
    """Return whether `name`, as `application_of` returns it, means this Application."""
    namespace, own = identity(application)
    return bool(name) and name in (own, f"{namespace}_{own}")


def managers_of(obj: Object) -> set[str]:
    """Return the field managers that have written the object."""
    fields = (obj.get("metadata") or {}).get("managedFields") or ()
    return {str(one.get("manager")) for one in fields}


def tool_of_manager(manager: str) -> str:
    """Return the tool that writes by the name of this field manager, empty if it is none that is known."""
    return MANAGERS.get(manager, "")


def _group(key: str) -> str:
    return key.partition("/")[0]
