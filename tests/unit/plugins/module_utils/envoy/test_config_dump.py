# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Endpoints and clusters in Envoy's config dump, by host and subset."""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.canary.plugins.module_utils.envoy import config_dump

if t.TYPE_CHECKING:
    from support import route_strategies as rs

FQDN = "reviews.bookinfo.svc.cluster.local"


def test_endpoints_and_clusters_are_keyed_by_host_and_subset() -> None:
    def cluster(destination: str, *states: str, kind: str = "EDS") -> list[rs.Json]:
        endpoints = [{"health_status": state} if state else {} for state in states]
        assigned = {"cluster_name": f"outbound|{destination}", "endpoints": [{"lb_endpoints": endpoints}]}
        return [{"cluster": {"name": f"outbound|{destination}", "type": kind}}, {"endpoint_config": assigned}]

    configs = [
        *cluster(f"9080||{FQDN}", "HEALTHY", ""),
        *cluster(f"9080|v1|{FQDN}", "HEALTHY", "UNHEALTHY"),
        *cluster(f"9090|v1|{FQDN}"),
        *cluster(f"9080|v2|{FQDN}", "DRAINING"),
        *cluster("9080||db.default.svc.cluster.local", kind="ORIGINAL_DST"),
        {"cluster": {"name": "BlackHoleCluster", "type": "STATIC"}},
    ]
    assert config_dump.healthy_endpoints({"configs": configs}) == {
        (FQDN, ""): 2,
        (FQDN, "v1"): 1,
        (FQDN, "v2"): 0,
        ("db.default.svc.cluster.local", ""): 0,
    }
    assert config_dump.known_clusters({"configs": configs}) == {
        (FQDN, ""): True,
        (FQDN, "v1"): True,
        (FQDN, "v2"): True,
        ("db.default.svc.cluster.local", ""): False,
    }
