# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What kind is asked for. JSON is YAML, so no YAML library is needed."""

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

# Who wrote what, and who read routing objects, so that requests can be counted. Left out: the node and the control
# plane renewing their leases and states all the time. The first rule that fits decides.
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


def render(chosen: t.Mapping[str, int], policy: pathlib.Path, *, own_pod_network: bool) -> str:
    """kind's configuration of a one-node cluster.

    chosen: the loopback's ports by purpose (see `ports`). policy: the machine's file with AUDIT_POLICY.
    own_pod_network: the node image brings a pod network, kind shall not install its own.
    """
    return json.dumps(
        {
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "networking": {
                "apiServerAddress": "127.0.0.1",
                "apiServerPort": chosen["api"],
                "disableDefaultCNI": own_pod_network,
            },
            "nodes": [
                {
                    "role": "control-plane",
                    "extraPortMappings": [
                        {"containerPort": inner, "hostPort": chosen[name], "listenAddress": "127.0.0.1"}
                        for name, inner in ports.NODE_PORTS.items()
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
        # An HPA that a test can watch: the defaults take minutes.
        "controllerManager": {
            "extraArgs": {
                "horizontal-pod-autoscaler-sync-period": "5s",
                "horizontal-pod-autoscaler-downscale-stabilization": "10s",
                "horizontal-pod-autoscaler-cpu-initialization-period": "5s",
                "horizontal-pod-autoscaler-initial-readiness-delay": "5s",
            }
        },
        # What a lab cluster holds need not survive a power cut.
        "etcd": {"local": {"extraArgs": {"unsafe-no-fsync": "true"}}},
    }


def _volume(name: str, path: str, kind: str, *, read_only: bool) -> dict[str, t.Any]:
    return {"name": name, "hostPath": path, "mountPath": path, "pathType": kind, "readOnly": read_only}
