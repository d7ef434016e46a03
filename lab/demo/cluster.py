# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cluster the demo runs on: the lab, brought up through `lab/cluster` and taken down again if it was not there."""

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

from .player import ROOT

if t.TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = ROOT / "lab" / "cluster"
EXISTING = "existing"
# Half of it is what an autoscaler aims at: so much that the demo's load adds pods, so little that five of each fit.
POD = {"requests": {"cpu": "60m", "memory": "32Mi"}}
# The role bookinfo gives the first label to every namespace it makes, whoever calls it; the second is the demo's alone.
OWNER, DEMO = "app.kubernetes.io/managed-by", "canary.meshops.io/demo"


class ClusterError(Exception):
    """There is no cluster to run on, and the message says what to do."""


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A cluster that is ready.

    name: what it is, for people. lab_name: how `lab/cluster` calls it.
    host: the name the sample answers to at `ingress_url`, empty for any; in the lab several share one gateway.
    mine: the demo has started it. bookinfo: variables of the role.
    """

    name: str
    lab_name: str
    kubeconfig: str
    ingress_url: str
    host: str
    mine: bool
    from_lab: bool
    bookinfo: dict[str, t.Any]
    facts: dict[str, str]

    @classmethod
    @contextlib.contextmanager
    def ready(cls, name: str, namespace: str, *, keep: bool) -> Iterator[Cluster]:
        """Bring the cluster `name` up; at the end take it down again if this has started it and `keep` is false.

        namespace: where the sample will be; in the lab it answers to a name made of it.
        """
        was_ready = bool(_status(name).get("ready"))
        try:
            if subprocess.run([COMMAND, "up", name], check=False).returncode != 0:
                raise ClusterError("The lab did not come up; lab/cluster said why.")
            yield cls._of(_status(name), namespace, mine=not was_ready)
        finally:
            if not was_ready and not keep:
                subprocess.run([COMMAND, "down", name], check=False)

    @classmethod
    def _of(cls, status: dict[str, t.Any], namespace: str, *, mine: bool) -> Cluster:
        if not status.get("ingress_url"):
            raise ClusterError(
                "Where the ingress gateway of the named cluster answers is not known: set CANARY_LAB_INGRESS_URL, "
                "for example to http://192.0.2.7, and run again."
            )
        from_lab = status["source"] != EXISTING
        kubeconfig = str(status["kubeconfig"])
        versions = _versions(kubeconfig)
        kind = "kind cluster" if from_lab else "cluster"
        name = ", ".join([f"{kind} {status['name']}", *(f"{what} {version}" for what, version in versions.items())])
        return cls(
            name=name,
            lab_name=str(status["name"]),
            kubeconfig=kubeconfig,
            ingress_url=str(status["ingress_url"]),
            host=f"{namespace}.localhost" if from_lab else "",  # browsers find NAME.localhost on this machine
            mine=mine and from_lab,
            from_lab=from_lab,
            bookinfo=bookinfo_variables(status) | ({"bookinfo_resources": POD} if from_lab else {}),
            facts={"Cluster": name, "Images": status.get("images_mode") or "pull"},
        )

    @property
    def shop_url(self) -> str:
        """Return the address for a browser."""
        address = urllib.parse.urlsplit(self.ingress_url)
        return address._replace(netloc=f"{self.host}:{address.port or 80}").geturl() if self.host else self.ingress_url

    def has_namespace(self, name: str) -> bool:
        return self._namespace(name) is not None

    def refuse_foreign_namespace(self, name: str) -> None:
        """Raise ClusterError if `name` exists and was not made by the demo: it may be somebody's work."""
        found = self._namespace(name)
        if found is not None and DEMO not in (found.metadata.labels or {}):
            raise ClusterError(
                f"Namespace {name} exists and is not the demo's: it lacks the label {DEMO}. "
                "Name another one: make demo DEMO_NAMESPACE=..."
            )

    def make_namespace(self, name: str, *, mesh: bool) -> None:
        """Make a namespace that a later demo knows as its own. mesh: pods there get a sidecar."""
        labels = {OWNER: "meshops.canary", DEMO: "true", "istio-injection": "enabled" if mesh else "disabled"}
        try:
            self._core.create_namespace({"metadata": {"name": name, "labels": labels}})
        except kubernetes.client.ApiException as problem:
            raise ClusterError(f"Could not make namespace {name}: {problem.reason}") from problem

    @property
    def _core(self) -> kubernetes.client.CoreV1Api:
        return kubernetes.client.CoreV1Api(kubernetes.config.new_client_from_config(config_file=self.kubeconfig))

    def _namespace(self, name: str) -> t.Any:
        try:
            return self._core.read_namespace(name)
        except kubernetes.client.ApiException as problem:
            if problem.status == 404:
                return None
            raise ClusterError(f"Could not look for namespace {name}: {problem.reason}") from problem


def _status(name: str) -> dict[str, t.Any]:
    done = subprocess.run([COMMAND, "status", name, "--json"], capture_output=True, text=True, check=False)
    try:
        return dict(json.loads(done.stdout or "{}"))
    except ValueError:
        raise ClusterError(f"lab/cluster status --json printed no JSON: {done.stdout}{done.stderr}") from None


def _versions(kubeconfig: str) -> dict[str, str]:
    """Return the versions of Kubernetes and, where it may be asked, of Istio."""
    api = kubernetes.config.new_client_from_config(config_file=kubeconfig)
    found = {"Kubernetes": str(kubernetes.client.VersionApi(api).get_code().git_version)}
    core = kubernetes.client.CoreV1Api(api)
    with contextlib.suppress(kubernetes.client.ApiException, urllib3.exceptions.HTTPError):
        said = core.connect_get_namespaced_service_proxy_with_path("istiod:15014", "istio-system", "version")
        found["Istio"] = str(said).partition("-")[0]
    return found
