# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`make demo`: starts a cluster, runs the stages on it, writes the report."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import tempfile
import time
import typing as t

from lab.traffic import GatewayClient, SidecarClient

from .cluster import Cluster, ClusterError
from .plain_kubernetes import PlainKubernetesRunner
from .playbooks import OUT, ROOT, Ansible, Playbook
from .report import page
from .results import DemoResult
from .runner import StageRunner
from .slowdown import SlowdownProbe
from .stages import ROLLOUT_REPORTS, USER, all_stages, namespace_without_mesh
from .terminal import Terminal
from .watcher import ServiceWatcher

if t.TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACE = os.environ.get("DEMO_NAMESPACE", "bookinfo")


def main() -> int:
    """Run the demo. Returns the exit status: 0 if every stage passed and no request failed."""
    options = _options()
    began = time.time()
    terminal = Terminal()
    log = _clean_out()
    terminal.line(
        f"meshops.canary demo: Bookinfo on a real mesh. All output of Ansible is in {log.relative_to(ROOT)}.", "bold"
    )
    try:
        with (
            Cluster.ready(options.cluster, NAMESPACE, keep=options.keep) as cluster,
            tempfile.TemporaryDirectory(prefix="canary-demo-") as folder,
        ):
            ansible = Ansible(cluster.kubeconfig, pathlib.Path(folder), log)
            with _clean_namespaces(cluster, ansible, keep=options.keep):
                demo = _run_stages(cluster, ansible, terminal, began, with_mesh=not options.without_mesh)
                terminal.summary(demo)
                _write(demo, terminal)
            if options.keep:
                _print_commands(cluster, terminal)
    except ClusterError as problem:
        terminal.line(str(problem), "bad")
        return 1
    except KeyboardInterrupt:
        terminal.line("Stopped.", "bad")
        return 130
    return 0 if demo.passed and demo.failed == 0 else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make demo", description="Canaries of Istio's Bookinfo, measured on a cluster."
    )
    parser.add_argument("--keep", action="store_true", help="leave the cluster and the sample running")
    parser.add_argument("--cluster", default="canary", help="name of the lab cluster (canary, as for make lab-up)")
    parser.add_argument("--without-mesh", action="store_true", help="run the stages on plain Kubernetes alone")
    return parser.parse_args()


def _clean_out() -> pathlib.Path:
    """Remove the files of an earlier demo, so that nobody mistakes them for this one's, and return the log file."""
    OUT.mkdir(exist_ok=True)
    for name in ("demo.json", "demo.html"):
        (OUT / name).unlink(missing_ok=True)
    shutil.rmtree(ROLLOUT_REPORTS, ignore_errors=True)
    log = OUT / "demo.log"
    log.write_text("", encoding="utf-8")
    return log


def _run_stages(cluster: Cluster, ansible: Ansible, terminal: Terminal, began: float, *, with_mesh: bool) -> DemoResult:
    demo = DemoResult(cluster.name, began, facts=cluster.facts)
    variables = {**cluster.bookinfo, **({"bookinfo_hosts": [cluster.host]} if cluster.host else {})}
    specs = [spec for spec in all_stages(NAMESPACE, variables) if with_mesh or spec.without_mesh]
    terminal.stages = len(specs)
    sidecar, gateway = (
        SidecarClient(cluster.kubeconfig, NAMESPACE),
        GatewayClient(cluster.ingress_url, host=cluster.host),
    )
    plain = PlainKubernetesRunner(ansible, terminal, cluster.kubeconfig, namespace_without_mesh(NAMESPACE))
    with ServiceWatcher(cluster.kubeconfig, NAMESPACE, "reviews", [USER]) as watcher, SlowdownProbe() as probe:
        StageRunner(demo, ansible, watcher, plain, sidecar, gateway, terminal, probe).run(specs)
    demo.ended = time.time()
    return demo


@contextlib.contextmanager
def _clean_namespaces(cluster: Cluster, ansible: Ansible, *, keep: bool) -> Iterator[None]:
    """Remove the namespaces of an earlier demo, create this one's, and remove them at the end unless `keep`."""
    names = (NAMESPACE, namespace_without_mesh(NAMESPACE))
    for name in names:
        cluster.refuse_foreign_namespace(name)
    _tear_down(cluster, ansible, names)
    try:
        for name in names:
            cluster.create_namespace(name, mesh=name == NAMESPACE)
        yield
    finally:
        if not keep and not cluster.started_here:
            _tear_down(cluster, ansible, names)


def _tear_down(cluster: Cluster, ansible: Ansible, names: tuple[str, ...]) -> None:
    for name in names:
        if cluster.has_namespace(name):
            ansible.run(Playbook("meshops.canary.teardown", {"ns": name}))


def _write(demo: DemoResult, terminal: Terminal) -> None:
    report, numbers = OUT / "demo.html", OUT / "demo.json"
    report.write_text(page(demo), encoding="utf-8")
    numbers.write_text(json.dumps(demo.as_dict(), indent=2) + "\n", encoding="utf-8")
    terminal.line()
    terminal.line(f"Report:  {report}")
    terminal.line(f"Numbers: {numbers}")


def _print_commands(cluster: Cluster, terminal: Terminal) -> None:
    terminal.line()
    terminal.line("The cluster is still running. Try:", "bold")
    terminal.line(f"  productpage  {cluster.productpage_url}  (sign in as {USER}, any password)")
    for name, command in next_commands(cluster):
        terminal.line(f"  {name:<12} {command}")


def next_commands(cluster: Cluster) -> list[tuple[str, str]]:
    """Return (label, command) to type in the checkout: first the environment, last the end of the cluster or sample."""
    weights = {"service": "reviews", "ns": NAMESPACE, "weights": {"v1": 80, "v2": 20}}
    shift = Playbook("meshops.canary.shift", weights)
    status = Playbook("meshops.canary.status", {"ns": NAMESPACE})
    teardown = Playbook("meshops.canary.teardown", {"ns": NAMESPACE})
    ansible = ".venv/bin/"
    environment = [
        f"ANSIBLE_COLLECTIONS_PATH={ROOT / '.ansible' / 'collections'}",
        f"KUBECONFIG={cluster.kubeconfig}",
        f"K8S_AUTH_KUBECONFIG={cluster.kubeconfig}",
    ]
    return [
        ("first", f"cd {ROOT} && export {' '.join(environment)}"),
        ("a canary", ansible + shift.command),
        ("its status", ansible + status.command),
        ("at the end", f"lab/cluster down {cluster.lab_name}" if cluster.from_lab else ansible + teardown.command),
    ]
