# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests and errors that the status and the verification of a split count at the callers' proxies."""

from __future__ import annotations

import re
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis.traffic import Names
from ansible_collections.meshops.canary.plugins.module_utils.evidence import counts
from ansible_collections.meshops.canary.plugins.module_utils.mesh.proxies import Proxy

HOST = "shop.prod.svc.cluster.local"
CALLER = Proxy("prod", "caller")
NAMES = Names({HOST: None}, {})


class Counters:
    """A proxy with Envoy's own counters: those that the pattern names. Keys: version, name of the counter."""

    def __init__(self, **numbers: dict[str, float]) -> None:
        self._numbers = numbers

    def counters(self, _namespace: str, _name: str, pattern: str) -> list[tuple[str, dict[str, str], float]]:
        found = []
        for version, named in self._numbers.items():
            cluster = f"outbound|9080|{version}|{HOST}"
            for name, number in named.items():
                if not re.search(pattern, f"cluster.{cluster}.{name}"):
                    continue
                kind, _dot, code = name.rpartition("_" if name.startswith("upstream") else ".")
                labels = {"cluster_name": cluster, "response_code": code}
                sample = "envoy_cluster_upstream_rq" if kind == "upstream_rq" else f"envoy_cluster_grpc_{code}"
                found.append((sample, labels, number))
        return found


def counted(client: Counters, *ports: str) -> t.Any:
    return counts.ProxyCounters(t.cast("t.Any", client), [CALLER], NAMES, frozenset(ports)).since_start()


def test_failed_calls_of_grpc_are_errors_although_their_http_status_is_200() -> None:
    client = Counters(
        v1={"upstream_rq_200": 90, "grpc.shop.v1.Greeter.Say.0": 90},
        v2={"upstream_rq_200": 10, "grpc.0": 6, "grpc.13": 3, "grpc.5": 1},
    )
    found = counted(client, "9080")
    assert found.versions.requests == {"v1": 90, "v2": 10}
    assert found.versions.errors == {"v2": 3}
    assert found.notes == []


@pytest.mark.parametrize(("ports", "noted"), [(("9080",), True), ((), False)])
def test_calls_whose_status_is_not_known_are_counted_and_said(ports: tuple[str, ...], noted: bool) -> None:
    found = counted(Counters(v1={"upstream_rq_200": 90, "upstream_rq_503": 2}), *ports)
    assert (found.versions.requests, found.versions.errors) == ({"v1": 92}, {"v1": 2})
    assert found.notes == ([counts.NO_GRPC] if noted else [])
