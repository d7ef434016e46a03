# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`make demo`: a cluster, the story on it, the report about it."""

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

from lab.traffic import Gateway, Sidecar

from .cluster import Cluster, ClusterError
from .plain import Plain
from .player import OUT, ROOT, Ansible, Play
from .report import page
from .result import Story
from .show import Show
from .stages import ROLLOUTS, USER, plain_namespace, steps
from .terminal import Terminal
from .watch import Watch

if t.TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACE = os.environ.get("DEMO_NAMESPACE", "bookinfo")


def main() -> int:
    """Run the demo. Returns the exit status: 0 if every stage passed and no request failed."""
    parser = argparse.ArgumentParser(prog="make demo", description="Istio's Bookinfo story on a real mesh, measured.")
    parser.add_argument("--keep", action="store_true", help="leave the cluster and the sample for you to play with")
    parser.add_argument("--cluster", default="canary", help="name of the lab's cluster to use (canary, as make lab-up)")
    options = parser.parse_args()
    began = time.time()
    terminal = Terminal()
    log = _clean_out()
    terminal.line(
        f"meshops.canary demo: Bookinfo on a real mesh. Every line Ansible prints is in {log.relative_to(ROOT)}.",
        "bold",
    )
    try:
        with (
            Cluster.ready(options.cluster, NAMESPACE, keep=options.keep) as cluster,
            tempfile.TemporaryDirectory(prefix="canary-demo-") as folder,
        ):
            ansible = Ansible(cluster.kubeconfig, pathlib.Path(folder), log)
            with _clean_namespace(cluster, ansible, keep=options.keep):
                story = _tell(cluster, ansible, terminal, began)
                terminal.summary(story)
                _write(story, terminal)
            if options.keep:
                _how_to_play(cluster, terminal)
    except ClusterError as problem:
        terminal.line(str(problem), "bad")
        return 1
    except KeyboardInterrupt:
        terminal.line("Stopped.", "bad")
        return 130
    return 0 if story.passed and story.failed == 0 else 1


def _clean_out() -> pathlib.Path:
    """Remove what an earlier demo left, so that nobody takes it for this one's, and return the file for the log."""
    OUT.mkdir(exist_ok=True)
    for name in ("demo.json", "demo.html"):
        (OUT / name).unlink(missing_ok=True)
    shutil.rmtree(ROLLOUTS, ignore_errors=True)
    log = OUT / "demo.log"
    log.write_text("", encoding="utf-8")
    return log


def _tell(cluster: Cluster, ansible: Ansible, terminal: Terminal, began: float) -> Story:
    story = Story(cluster.name, began, facts=cluster.facts)
    variables = {**cluster.bookinfo, **({"bookinfo_hosts": [cluster.host]} if cluster.host else {})}
    plan = steps(NAMESPACE, variables)
    terminal.stages = len(plan)
    sidecar, gateway = Sidecar(cluster.kubeconfig, NAMESPACE), Gateway(cluster.ingress_url, host=cluster.host)
    plain = Plain(ansible, terminal, cluster.kubeconfig, plain_namespace(NAMESPACE))
    with Watch(cluster.kubeconfig, NAMESPACE, "reviews", [USER]) as watch:
        Show(story, ansible, watch, plain, sidecar, gateway, terminal).run(plan)
    story.ended = time.time()
    return story


@contextlib.contextmanager
def _clean_namespace(cluster: Cluster, ansible: Ansible, *, keep: bool) -> Iterator[None]:
    """Begin without what an earlier demo left, and leave nothing unless asked to."""
    names = (NAMESPACE, plain_namespace(NAMESPACE))
    for name in names:
        cluster.refuse_foreign_namespace(name)
    _tear_down(cluster, ansible, names)
    try:
        for name in names:
            cluster.make_namespace(name, mesh=name == NAMESPACE)
        yield
    finally:
        if not keep and not cluster.mine:
            _tear_down(cluster, ansible, names)


def _tear_down(cluster: Cluster, ansible: Ansible, names: tuple[str, ...]) -> None:
    for name in names:
        if cluster.has_namespace(name):
            ansible.run(Play("meshops.canary.teardown", {"ns": name}))


def _write(story: Story, terminal: Terminal) -> None:
    report, numbers = OUT / "demo.html", OUT / "demo.json"
    report.write_text(page(story), encoding="utf-8")
    numbers.write_text(json.dumps(story.as_dict(), indent=2) + "\n", encoding="utf-8")
    terminal.line()
    terminal.line(f"Report:  {report}")
    terminal.line(f"Numbers: {numbers}")


def _how_to_play(cluster: Cluster, terminal: Terminal) -> None:
    terminal.line()
    terminal.line("The cluster is yours to play with:", "bold")
    terminal.line(f"  the shop    {cluster.shop_url}/productpage  (sign in as {USER}, any password)")
    for name, command in how_to_play(cluster):
        terminal.line(f"  {name:<11} {command}")


def how_to_play(cluster: Cluster) -> list[tuple[str, str]]:
    """Return what to type in the checkout, each with a name: first what the shell must know, last how to end it."""
    shift = Play("meshops.canary.shift", {"service": "reviews", "ns": NAMESPACE, "weights": {"v1": 80, "v2": 20}})
    status = Play("meshops.canary.status", {"ns": NAMESPACE})
    away = Play("meshops.canary.teardown", {"ns": NAMESPACE})
    ansible = ".venv/bin/"
    known = [
        f"ANSIBLE_COLLECTIONS_PATH={ROOT / '.ansible' / 'collections'}",
        f"KUBECONFIG={cluster.kubeconfig}",
        f"K8S_AUTH_KUBECONFIG={cluster.kubeconfig}",
    ]
    return [
        ("first", f"cd {ROOT} && export {' '.join(known)}"),
        ("a canary", ansible + shift.command),
        ("look", ansible + status.command),
        ("when done", f"lab/cluster down {cluster.lab_name}" if cluster.from_lab else ansible + away.command),
    ]
