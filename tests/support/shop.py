# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Bookinfo for tests on the lab's mesh, and the places its requests start."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import typing as t

from lab.traffic import Client, GatewayClient, SidecarClient, bookinfo_variables

from .play import Played, Player

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .kube import Kube
    from .lab import Lab


@dataclasses.dataclass(frozen=True)
class Shop:
    """A Bookinfo for tests. host: the name that its Gateway answers to."""

    namespace: str
    host: str
    ingress_url: str
    sidecar: SidecarClient
    gateway: GatewayClient
    player: Player

    @property
    def places(self) -> tuple[Client, Client]:
        return self.sidecar, self.gateway

    def play(self, verb: str, **variables: t.Any) -> Played:
        """Run a playbook of the collection on reviews."""
        return self.player(f"meshops.canary.{verb}", service="reviews", ns=self.namespace, **variables)

    def shift(self, **weights: int) -> Played:
        """Set the weights; `shift(v1=90, v2=10)`."""
        return self.play("shift", weights=weights)

    def cohort(self, **weights: int) -> Played:
        """Route requests of testuser by these weights; without weights, remove the cohort."""
        return self.play("header_test", **({"weights": weights} if weights else {"state": "absent"}))


@contextlib.contextmanager
def opened(lab: Lab, kube: Kube, folder: Path, **variables: t.Any) -> Iterator[Shop]:
    """Deploy Bookinfo by its playbook, without autoscalers, and remove it at the end. variables: of the role."""
    namespace = f"mesh-{secrets.token_hex(4)}"
    host = f"{namespace}.test"
    player = Player(folder, kubeconfig=lab.kubeconfig)
    given = {"bookinfo_hosts": [host], "bookinfo_autoscale": False, **bookinfo_variables(lab.facts), **variables}
    kube.create_namespace(namespace, labels={"istio-injection": "enabled"})
    try:
        player("meshops.canary.bookinfo", ns=namespace, **given)
        url = str(lab.facts["ingress_url"])
        sidecar, gateway = SidecarClient(lab.kubeconfig, namespace), GatewayClient(url, host=host)
        yield Shop(namespace, host, url, sidecar, gateway, player)
    finally:
        kube.delete_namespace(namespace)
