# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts of ServiceEntries as the API server and istiod's webhook take them, without proxies."""

from __future__ import annotations

import typing as t

import pytest
from support.direct import ISTIO, Direct, essence, service

if t.TYPE_CHECKING:
    from support.kube import Kube, Object
    from support.lab import Lab

pytestmark = pytest.mark.api

HOST, LEGACY, NEW = "api.example.com", "legacy.example.com", "web-new"
TEN = {LEGACY: 90, NEW: 10}


def of_istio(kind: str, name: str, **spec: t.Any) -> Object:
    return {"apiVersion": ISTIO, "kind": kind, "metadata": {"name": name}, "spec": {**spec, "exportTo": ["."]}}


def test_weights_between_hosts_are_checked_written_reported_and_restored(lab: Lab, kube: Kube, namespace: str) -> None:
    ports = [{"number": 9080, "name": "http", "protocol": "HTTP"}]
    kube.apply(
        service(NEW),
        *(of_istio("ServiceEntry", host, hosts=[host], ports=ports, resolution="DNS") for host in (HOST, LEGACY)),
        of_istio("VirtualService", "api", hosts=[HOST], http=[{"route": [{"destination": {"host": LEGACY}}]}]),
        namespace=namespace,
    )
    direct = Direct(lab.kubeconfig, namespace)
    before = essence(kube.get(ISTIO, "VirtualService", "api", namespace))
    for weights, reason in ((TEN, "SUBSET_NOT_READY"), ({LEGACY: 90, "no.example.com": 10}, "No ServiceEntry")):
        assert reason in direct("weight", service=HOST, weights=weights, wait=False, fails=True)["msg"]
    assert essence(kube.get(ISTIO, "VirtualService", "api", namespace)) == before
    direct("weight", service=HOST, weights=TEN, wait=False, force=["SUBSET_NOT_READY"])
    (known,) = direct("info", service=HOST, measure="none", proxies=False)["services"]
    assert known["weights"] == TEN
    assert [(one["version"], one["ready"]) for one in known["versions"]] == [(LEGACY, 1), (NEW, 0)]
    assert "no Deployment to scale" in direct("capacity", service=HOST, version=LEGACY, pods=3, fails=True)["msg"]
    direct("weight", service=HOST, state="absent", wait=False)
    assert essence(kube.get(ISTIO, "VirtualService", "api", namespace)) == before
