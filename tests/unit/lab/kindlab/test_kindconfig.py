# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration that kind gets: ports, audit policy."""

from __future__ import annotations

import json
import pathlib

from lab.kindlab import kindconfig, ports


def test_ports_are_mapped_on_the_loopback_only() -> None:
    host_ports = {"api": 1, "ingress": 2, "prometheus": 3}
    config = json.loads(kindconfig.render(host_ports, pathlib.Path("/policy"), own_pod_network=True))
    assert config["networking"] == {"apiServerAddress": "127.0.0.1", "apiServerPort": 1, "disableDefaultCNI": True}
    [node] = config["nodes"]
    assert node["extraPortMappings"] == [
        {"containerPort": 30080, "hostPort": 2, "listenAddress": "127.0.0.1"},
        {"containerPort": 30090, "hostPort": 3, "listenAddress": "127.0.0.1"},
    ]


def test_api_server_uses_the_mounted_audit_policy() -> None:
    config = json.loads(kindconfig.render(ports.FIRST, pathlib.Path("/policy"), own_pod_network=True))
    [mount] = config["nodes"][0]["extraMounts"]
    patch = json.loads(config["kubeadmConfigPatches"][0])
    arguments = patch["apiServer"]["extraArgs"]
    assert mount["hostPath"] == "/policy"
    assert arguments["audit-policy-file"] == mount["containerPath"]
    volumes = {volume["mountPath"] for volume in patch["apiServer"]["extraVolumes"]}
    assert {arguments["audit-policy-file"], str(pathlib.PurePath(arguments["audit-log-path"]).parent)} == volumes


def test_first_audit_rule_logs_all_requests_for_routing_objects() -> None:
    first = kindconfig.AUDIT_POLICY["rules"][0]
    assert {"group": "networking.istio.io"} in first["resources"]
    assert first["level"] == "Metadata"
    assert "verbs" not in first
