# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cluster of the demo: the lab, which `lab/cluster` starts, and stops afterwards if it was not running before."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import typing as t
import urllib.parse

import kubernetes
import urllib3

from lab.traffic import bookinfo_variables

from .playbooks import ROOT

if t.TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = ROOT / "lab" / "cluster"
EXISTING = "existing"
# Little enough CPU that the demo's load adds pods (an autoscaler's target is half of it) and that five of each fit.
POD_RESOURCES = {"requests": {"cpu": "60m", "memory": "32Mi"}}
# The role bookinfo sets the first label on every namespace it creates; the demo alone sets the second.
OWNER_LABEL, DEMO_LABEL = "app.kubernetes.io/managed-by", "canary.meshops.io/demo"


class ClusterError(Exception):
    """There is no cluster to run on; the message says what to do."""


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A cluster that is ready.

    name: shown to users. lab_name: its name for `lab/cluster`.
    host: the sample's host name at `ingress_url`, empty for any; in the lab several namespaces share one gateway.
    started_here: this demo started it. bookinfo: variables of the role.
    """

    name: str
    lab_name: str
    kubeconfig: str
    ingress_url: str
    host: str
    started_here: bool
    from_lab: bool
    bookinfo: dict[str, t.Any]
    facts: dict[str, str]

    @classmethod
    @contextlib.contextmanager
    def ready(cls, name: str, namespace: str, *, keep: bool) -> Iterator[Cluster]:
        """Start the cluster `name`; at the end stop it if this started it and `keep` is false.

        namespace: of the sample; in the lab the sample's host name is made of it.
        """
        was_ready = bool(_status(name).get("ready"))
        try:
            if subprocess.run([COMMAND, "up", name], check=False).returncode != 0:
                raise ClusterError("The lab did not start; the output of lab/cluster above says why.")
            yield cls._of(_status(name), namespace, started_here=not was_ready)
        finally:
            if not was_ready and not keep:
                subprocess.run([COMMAND, "down", name], check=False)

    @classmethod
    def _of(cls, status: dict[str, t.Any], namespace: str, *, started_here: bool) -> Cluster:
        if not status.get("ingress_url"):
            raise ClusterError(
                "The address of the cluster's ingress gateway is not known: set CANARY_LAB_INGRESS_URL, "
                "for example to http://192.0.2.7, and run the demo again."
            )
        from_lab = status["source"] != EXISTING
        kubeconfig = str(status["kubeconfig"])
        versions = _versions(kubeconfig)
        kind = "kind cluster" if from_lab else "cluster"
        name = ", ".join(
            [f"{kind} {status['name']}", *(f"{program} {version}" for program, version in versions.items())]
        )
        return cls(
            name=name,
            lab_name=str(status["name"]),
            kubeconfig=kubeconfig,
            ingress_url=str(status["ingress_url"]),
            host=f"{namespace}.localhost" if from_lab else "",  # browsers resolve NAME.localhost to this machine
            started_here=started_here and from_lab,
            from_lab=from_lab,
            bookinfo=bookinfo_variables(status) | ({"bookinfo_resources": POD_RESOURCES} if from_lab else {}),
            facts={"Cluster": name, "Images": status.get("images_mode") or "pull"},
        )

    @property
    def productpage_url(self) -> str:
        """Return the address of productpage for a browser."""
        address = urllib.parse.urlsplit(self.ingress_url)
        netloc = f"{self.host}:{address.port or 80}" if self.host else address.netloc
        return address._replace(netloc=netloc, path="/productpage").geturl()

    def has_namespace(self, name: str) -> bool:
        return self._namespace(name) is not None

    def refuse_foreign_namespace(self, name: str) -> None:
        """Raise ClusterError if `name` exists and the demo did not create it: it may be in use."""
        found = self._namespace(name)
        if found is not None and DEMO_LABEL not in (found.metadata.labels or {}):
            raise ClusterError(
                f"Namespace {name} exists and was not created by the demo: it does not have the label {DEMO_LABEL}. "
                "Use another one: make demo DEMO_NAMESPACE=NAME"
            )

    def create_namespace(self, name: str, *, mesh: bool) -> None:
        """Create a namespace with the demo's label. mesh: its pods get a sidecar."""
        labels = {
            OWNER_LABEL: "meshops.canary",
            DEMO_LABEL: "true",
            "istio-injection": "enabled" if mesh else "disabled",
        }
        try:
            self._core.create_namespace({"metadata": {"name": name, "labels": labels}})
        except kubernetes.client.ApiException as problem:
            raise ClusterError(f"Could not create namespace {name}: {problem.reason}") from problem

    @property
    def _core(self) -> kubernetes.client.CoreV1Api:
        return kubernetes.client.CoreV1Api(kubernetes.config.new_client_from_config(config_file=self.kubeconfig))

    def _namespace(self, name: str) -> t.Any:
        try:
            return self._core.read_namespace(name)
        except kubernetes.client.ApiException as problem:
            if problem.status == 404:
                return None
            raise ClusterError(f"Could not read namespace {name}: {problem.reason}") from problem


def _status(name: str) -> dict[str, t.Any]:
    done = subprocess.run([COMMAND, "status", name, "--json"], capture_output=True, text=True, check=False)
    try:
        return dict(json.loads(done.stdout or "{}"))
    except ValueError:
        raise ClusterError(f"lab/cluster status --json printed no JSON: {done.stdout}{done.stderr}") from None


def _versions(kubeconfig: str) -> dict[str, str]:
    """Return the versions of Kubernetes and, where the user may read it, of Istio."""
    api = kubernetes.config.new_client_from_config(config_file=kubeconfig)
    found = {"Kubernetes": str(kubernetes.client.VersionApi(api).get_code().git_version)}
    core = kubernetes.client.CoreV1Api(api)
    with contextlib.suppress(kubernetes.client.ApiException, urllib3.exceptions.HTTPError):
        text = core.connect_get_namespaced_service_proxy_with_path("istiod:15014", "istio-system", "version")
        found["Istio"] = str(text).partition("-")[0]
    return found
