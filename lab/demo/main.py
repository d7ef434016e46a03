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
import tempfile
import time
import typing as t

from lab.traffic import Gateway, Sidecar

from .cluster import Cluster, ClusterError
from .plain import Plain
from .player import ROOT, Ansible, Play
from .report import page
from .result import Story
from .show import Show
from .stages import USER, plain_namespace, steps
from .terminal import Terminal
from .watch import Watch

if t.TYPE_CHECKING:
    from collections.abc import Iterator

OUT = ROOT / "out"
NAMESPACE = os.environ.get("DEMO_NAMESPACE", "bookinfo")


def main() -> int:
    """Run the demo. Returns the exit status: 0 if every stage passed and no request failed."""
    parser = argparse.ArgumentParser(prog="make demo", description="Istio's Bookinfo story on a real mesh, measured.")
    parser.add_argument("--keep", action="store_true", help="leave the cluster and the sample for you to play with")
    parser.add_argument("--cluster", default="canary", help="name of the lab's cluster to use (canary, as make lab-up)")
    options = parser.parse_args()
    began = time.time()
    stages = steps(NAMESPACE, {})
    terminal = Terminal(len(stages))
    OUT.mkdir(exist_ok=True)
    log = OUT / "demo.log"
    log.write_text("", encoding="utf-8")
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


def _tell(cluster: Cluster, ansible: Ansible, terminal: Terminal, began: float) -> Story:
    story = Story(cluster.name, began, facts=cluster.facts)
    variables = {**cluster.bookinfo, **({"bookinfo_hosts": [cluster.host]} if cluster.host else {})}
    sidecar, gateway = Sidecar(cluster.kubeconfig, NAMESPACE), Gateway(cluster.ingress_url, host=cluster.host)
    plain = Plain(ansible, terminal, cluster.kubeconfig, plain_namespace(NAMESPACE))
    with Watch(cluster.kubeconfig, NAMESPACE, "reviews", [USER]) as watch:
        Show(story, ansible, watch, plain, sidecar, gateway, terminal).run(steps(NAMESPACE, variables))
    story.ended = time.time()
    return story


@contextlib.contextmanager
def _clean_namespace(cluster: Cluster, ansible: Ansible, *, keep: bool) -> Iterator[None]:
    """Begin without what an earlier demo left, and leave nothing unless asked to."""
    names = (NAMESPACE, plain_namespace(NAMESPACE))
    for name in names:
        cluster.refuse_foreign_namespace(name)
    _tear_down(cluster, ansible, names)
    yield
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
    shift = Play("playbooks/shift.yml", {"service": "reviews", "ns": NAMESPACE, "weights": {"v1": 80, "v2": 20}})
    away = (
        f"lab/cluster down {cluster.lab_name}"
        if cluster.from_lab
        else Play("playbooks/teardown.yml", {"ns": NAMESPACE}).command
    )
    terminal.line()
    terminal.line("The cluster is yours to play with:", "bold")
    terminal.line(f"  the shop    {cluster.shop_url}/productpage  (sign in as {USER}, any password)")
    terminal.line(f"  its API     export KUBECONFIG={cluster.kubeconfig} K8S_AUTH_KUBECONFIG={cluster.kubeconfig}")
    terminal.line(f"  a canary    .venv/bin/{shift.command}")
    terminal.line(f"  when done   {away}")
