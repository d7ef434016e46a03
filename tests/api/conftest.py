# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tests of the modules on the lab's API server; no pod is needed for them."""

from __future__ import annotations

import typing as t

import pytest
from support.direct import ISTIO, Direct, destination_rule, service, virtual_service
from support.namespaces import Namespaces
from support.pending_deployments import deployment
from support.simulated_service import SimulatedService

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from support.kube import Kube
    from support.lab import Lab


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs the API server."""
    for item in items:
        if "tests/api/" in item.path.as_posix():
            item.add_marker(pytest.mark.api)


@pytest.fixture(scope="session")
def namespaces(kube: Kube) -> Iterator[Namespaces]:
    pool = Namespaces(kube)
    yield pool
    pool.delete()


@pytest.fixture
def namespace(namespaces: Namespaces) -> Iterator[str]:
    """An empty namespace with sidecar injection, which no other test uses meanwhile."""
    name = namespaces.take()
    yield name
    namespaces.give_back(name)


@pytest.fixture
def direct(lab: Lab, namespace: str) -> Direct:
    """Runs commands in the test's namespace."""
    return Direct(lab.kubeconfig, namespace)


@pytest.fixture
def routed(kube: Kube, namespace: str) -> str:
    """The test's namespace with the service reviews, three subsets and a VirtualService: all requests on v1."""
    kube.apply(service(), destination_rule(), virtual_service(), namespace=namespace)
    return namespace


@pytest.fixture
def shop(kube: Kube, namespace: str) -> str:
    """The Service reviews and its stable Deployment of three pods."""
    kube.apply(service(), deployment(), namespace=namespace)
    return namespace


class Writes:
    """Which routing objects were written since it was made."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self._kube, self._namespace = kube, namespace
        self._before = self._versions()

    def _versions(self) -> dict[str, str]:
        kinds = ("VirtualService", "DestinationRule")
        found = [(kind, one["metadata"]) for kind in kinds for one in self._kube.list(ISTIO, kind, self._namespace)]
        return {f"{kind}/{meta['name']}": meta["resourceVersion"] for kind, meta in found}

    def seen(self) -> set[str]:
        """Return the objects that were created, changed or deleted."""
        now = self._versions()
        return {name for name in {*now, *self._before} if now.get(name) != self._before.get(name)}


@pytest.fixture
def writes(kube: Kube, routed: str) -> Writes:
    return Writes(kube, routed)


@pytest.fixture
def simulated(kube: Kube, routed: str, namespaces: Namespaces) -> Iterator[SimulatedService]:
    """`reviews` with three pods of v1 and one of v2, all ready, v1 at 100."""
    made = SimulatedService(kube, routed, namespaces)
    for number in range(3):
        made.pod(f"reviews-v1-{number}", "reviews", "v1")
    made.pod("reviews-v2-0", "reviews", "v2")
    yield made
    made.close()
