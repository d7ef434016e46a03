# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stand-in for Flux's kustomize-controller.

It applies as that does: server-side apply with force, by the field manager `kustomize-controller`, with the two labels
of its Kustomization; and it leaves an object alone that has `kustomize.toolkit.fluxcd.io/reconcile: disabled` in the
cluster. It reads no Git: its manifests are those it was given.
"""

from __future__ import annotations

import copy
import typing as t

from .kube import path_of

if t.TYPE_CHECKING:
    from .kube import Kube, Object

MANAGER: t.Final = "kustomize-controller"
GROUP: t.Final = "kustomize.toolkit.fluxcd.io"


class KustomizeStandIn:
    """Applies manifests into a namespace, as often as `reconcile` is called. applied, skipped: counted objects."""

    def __init__(self, kube: Kube, namespace: str, *manifests: Object) -> None:
        self._kube, self._namespace = kube, namespace
        self.manifests = [copy.deepcopy(one) for one in manifests]
        self.applied = self.skipped = 0

    def reconcile(self) -> None:
        """Apply every manifest whose object is not disabled in the cluster."""
        for manifest in self.manifests:
            version, kind, name = manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"]
            live = self._kube.get(version, kind, name, self._namespace)
            if ((live or {}).get("metadata") or {}).get("annotations", {}).get(f"{GROUP}/reconcile") == "disabled":
                self.skipped += 1
                continue
            wanted = copy.deepcopy(manifest)
            labels = wanted["metadata"].setdefault("labels", {})
            labels |= {f"{GROUP}/name": "apps", f"{GROUP}/namespace": "flux-system"}
            self._kube.request(
                "PATCH",
                path_of(version, kind, name, self._namespace),
                wanted,
                query={"fieldManager": MANAGER, "force": "true"},
                content_type="application/apply-patch+yaml",
            )
            self.applied += 1
