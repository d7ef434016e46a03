# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A token file that is rotated while a rollout waits: the old token is refused from then on, and the wait goes on."""

from __future__ import annotations

import base64
import concurrent.futures
import typing as t

import pytest
import yaml
from ansible_collections.meshops.canary.plugins.module_utils.rollout.approval import APPROVE
from support.direct import ISTIO, Direct

if t.TYPE_CHECKING:
    from pathlib import Path

    from support.kube import Kube
    from support.lab import Lab

RBAC = "rbac.authorization.k8s.io"
ACCOUNT = "operator"


class Operator:
    """A ServiceAccount whose token is in a file. Each token is bound to a Secret and ends with it."""

    def __init__(self, kube: Kube, lab: Lab, namespace: str, folder: Path) -> None:
        self._kube, self._namespace, self._file = kube, namespace, folder / "token"
        subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}
        reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"}
        metadata = {"name": ACCOUNT}
        binding = {"apiVersion": f"{RBAC}/v1", "kind": "RoleBinding", "metadata": metadata}
        kube.apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
            {**binding, "roleRef": reference, "subjects": [subject]},
            namespace=namespace,
        )
        with open(lab.kubeconfig, encoding="utf-8") as file:  # noqa: PTH123
            config = yaml.safe_load(file)
        ca = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"])
        (folder / "ca").write_bytes(ca)
        config["users"][0]["user"] = {"tokenFile": str(self._file)}
        (folder / "kubeconfig").write_text(yaml.safe_dump(config))
        self.kubeconfig = str(folder / "kubeconfig")
        self.token = ""

    def rotate(self, name: str) -> None:
        """Put a new token into the file, and end the one before."""
        self._kube.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}, namespace=self._namespace)
        secret = self._kube.get("v1", "Secret", name, self._namespace) or {}
        bound = {"apiVersion": "v1", "kind": "Secret", "name": name, "uid": secret["metadata"]["uid"]}
        path = f"/api/v1/namespaces/{self._namespace}/serviceaccounts/{ACCOUNT}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"boundObjectRef": bound}}
        new = self._kube.request("POST", path, body)["status"]["token"]
        self._file.with_suffix(".new").write_text(new)
        self._file.with_suffix(".new").replace(self._file)
        self.token, last = new, self.token
        if last:
            self._kube.delete("v1", "Secret", "first", self._namespace)
            self._kube.wait_until(lambda: not self._is_accepted(last), 60, "the first token is refused")

    def _is_accepted(self, token: str) -> bool:
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        answer = self._kube.request("POST", "/apis/authentication.k8s.io/v1/tokenreviews", body)
        return bool(answer["status"].get("authenticated"))


@pytest.fixture
def operator(kube: Kube, lab: Lab, routed: str, tmp_path: Path) -> Operator:
    made = Operator(kube, lab, routed, tmp_path)
    made.rotate("first")
    return made


def test_a_gate_is_read_and_opens_after_the_token_was_rotated(
    operator: Operator, direct: Direct, kube: Kube, routed: str
) -> None:
    steps = [{"weight": 50, "gate": "manual", "gate_seconds": 600}]
    plan = {"state": "promoted", "stable": "v1", "canary": "v2", "steps": steps, "pause": 0, "analysis": False}
    options = {"capacity": False, "retire_after": 0, "force": ["SUBSET_NOT_READY", "CAPACITY_BELOW_SHARE"]}
    mine = Direct(operator.kubeconfig, routed)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        playing = pool.submit(mine, "rollout", **plan, **options)
        kube.wait_until(lambda: playing.done() or phase(direct) == "gated", 90, "the gate is waited for")
        operator.rotate("second")
        ticket = direct("rollout")["run"]["ticket"]
        kube.patch("v1", "Service", "reviews", routed, {"metadata": {"annotations": {APPROVE: ticket}}})
        ended = playing.result()
    assert ended["run"]["phase"] == "promoted"
    found = kube.get(ISTIO, "VirtualService", "reviews", routed) or {}
    assert [one["destination"]["subset"] for one in found["spec"]["http"][0]["route"]] == ["v2"]


def phase(direct: Direct) -> str:
    return str((direct("rollout")["run"] or {}).get("phase"))
