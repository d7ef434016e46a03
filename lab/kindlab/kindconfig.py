# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of a kind cluster, as JSON: JSON is YAML, so no YAML library is needed."""

from __future__ import annotations

import json
import pathlib
import typing as t

from . import ports

AUDIT_LOG = "/var/log/kubernetes/audit.log"
_LOG_FOLDER = str(pathlib.PurePosixPath(AUDIT_LOG).parent)
_POLICY_IN_NODE = "/etc/kubernetes/audit-policy.json"
_WRITES = ["create", "update", "patch", "delete", "deletecollection"]
_CONTROL_PLANE = ["system:kube-controller-manager", "system:kube-scheduler", "system:apiserver"]
_ROUTING = ["networking.istio.io", "gateway.networking.k8s.io"]

# Log all writes, and the reads of routing objects, so that tests can count requests. Do not log the periodic updates of
# the node and the control plane. The first rule that matches decides.
AUDIT_POLICY: dict[str, t.Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "resources": [{"group": group} for group in _ROUTING]},
        {"level": "None", "userGroups": ["system:nodes"]},
        {"level": "None", "users": _CONTROL_PLANE},
        {"level": "Metadata", "verbs": _WRITES},
        {"level": "None"},
    ],
}


def render(host_ports: t.Mapping[str, int], policy: pathlib.Path, *, own_pod_network: bool) -> str:
    """Return the configuration of a cluster with one node.

    host_ports: loopback ports by purpose (see `ports`). policy: the file with AUDIT_POLICY on this machine.
    own_pod_network: the node image has a pod network, so kind must not install its default one.
    """
    return json.dumps(
        {
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "networking": {
                "apiServerAddress": "127.0.0.1",
                "apiServerPort": host_ports["api"],
                "disableDefaultCNI": own_pod_network,
            },
            "nodes": [
                {
                    "role": "control-plane",
                    "extraPortMappings": [
                        {"containerPort": node_port, "hostPort": host_ports[name], "listenAddress": "127.0.0.1"}
                        for name, node_port in ports.NODE_PORTS.items()
                    ],
                    "extraMounts": [{"hostPath": str(policy), "containerPath": _POLICY_IN_NODE, "readOnly": True}],
                }
            ],
            "kubeadmConfigPatches": [json.dumps(_cluster_configuration())],
        },
        indent=2,
    )


def _cluster_configuration() -> dict[str, t.Any]:
    return {
        "kind": "ClusterConfiguration",
        "apiServer": {
            "extraArgs": {"audit-policy-file": _POLICY_IN_NODE, "audit-log-path": AUDIT_LOG},
            "extraVolumes": [
                _volume("audit-policy", _POLICY_IN_NODE, "File", read_only=True),
                _volume("audit-log", _LOG_FOLDER, "DirectoryOrCreate", read_only=False),
            ],
        },
        # The defaults take minutes; tests must see the HPA react within seconds.
        "controllerManager": {
            "extraArgs": {
                "horizontal-pod-autoscaler-sync-period": "5s",
                "horizontal-pod-autoscaler-downscale-stabilization": "10s",
                "horizontal-pod-autoscaler-cpu-initialization-period": "5s",
                "horizontal-pod-autoscaler-initial-readiness-delay": "5s",
            }
        },
        # The data of a lab cluster need not survive a power failure.
        "etcd": {"local": {"extraArgs": {"unsafe-no-fsync": "true"}}},
    }


def _volume(name: str, path: str, kind: str, *, read_only: bool) -> dict[str, t.Any]:
    return {"name": name, "hostPath": path, "mountPath": path, "pathType": kind, "readOnly": read_only}
