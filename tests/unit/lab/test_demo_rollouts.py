# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo's rollouts, its end, its clean-up, and the commands it prints."""

from __future__ import annotations

import dataclasses
import io
import json
import random
import subprocess
import time
import types
import typing as t

import pytest

from lab.demo import cluster as clusters
from lab.demo import main, runner
from lab.demo.charts import timeline, versions_of
from lab.demo.playbooks import ROOT, Playbook, PlaybookResult
from lab.demo.report import page
from lab.demo.results import EVERYBODY, DemoResult, StageResult
from lab.demo.stages import USER, StageSpec, all_stages
from lab.demo.terminal import Terminal
from tests.unit.lab.sample_demo import measurement, sample_demo

if t.TYPE_CHECKING:
    from pathlib import Path

INJECTED = 'status 500: {"error": "injected fault"}'


def test_a_background_load_that_ended_before_its_stage_is_a_problem() -> None:
    measured, stage = measurement(random.Random(1), {"v1": 100}, 10), StageResult("90/10", "")
    stage.require_whole_load(dataclasses.replace(measured, ended_by="stop"), "client")
    assert stage.problems == []
    stage.require_whole_load(dataclasses.replace(measured, ended_by="limit"), "client")
    assert stage.problems == ["the load from the client ended early, by its limit"]


def test_only_errors_of_the_bad_version_count_as_injected() -> None:
    measured = measurement(random.Random(1), {"v2": 100}, 10, failed=3)
    assert runner.injected_failures(measured) == 0
    assert runner.injected_failures(dataclasses.replace(measured, reasons={INJECTED: 2, "status 503: no": 1})) == 2


def test_injected_failures_count_apart_from_failed_requests() -> None:
    demo = sample_demo()
    history = demo.histories[0]
    history.timeline[-1] = runner.mark_injected(
        [{"at": history.timeline[-1]["at"], "counts": {"v2": 30, "failed": 9}}]
    )[0]
    demo.stages[-2].injected_failures = 9
    assert demo.failed == 0
    assert demo.as_dict()["stages"][-2]["injected_failures"] == 9
    assert versions_of(demo) == ["v1", "v2", "v3"]
    chart = timeline(demo)
    assert "9 failed on purpose" in chart
    assert 'class="failed"' not in chart
    assert "failed on purpose by the bad version, until it was rolled back" in page(demo)


@pytest.mark.parametrize(("phase", "problems"), [("rolled_back", 0), ("promoted", 1)])
def test_the_end_of_a_rollout_is_read_from_its_report(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, phase: str, problems: int
) -> None:
    folder = tmp_path / "out" / "rollouts"
    folder.mkdir(parents=True)
    monkeypatch.setattr(runner, "ROLLOUT_REPORTS", folder)
    stage = StageResult("a bad rollout", "")
    runner.add_rollout("rolled_back", stage)
    assert "wrote no report" in stage.problems.pop()
    report = {"phase": phase, "reason": "errors: 50% against 0%", "stable": "v2", "canary": "v3"}
    (folder / "reviews-1.json").write_text(json.dumps(report), encoding="utf-8")
    runner.add_rollout("rolled_back", stage)
    assert stage.notes[0] == f"v2 -> v3: {phase.replace('_', ' ')}. errors: 50% against 0%"
    assert stage.notes[1].endswith("out/rollouts/reviews-1.html")
    assert len(stage.problems) == problems


def test_images_that_cannot_fail_on_purpose_have_no_bad_rollout() -> None:
    names = [spec.name for spec in all_stages("bookinfo", {})]
    assert "a good rollout" in names
    assert "a bad rollout" not in names


def test_the_sample_is_deployed_beside_the_stages_without_a_mesh() -> None:
    order: list[str] = []

    class Ansible:
        def run(self, playbook: Playbook) -> PlaybookResult:
            order.append(playbook.name)
            return PlaybookResult(playbook.name != "deploy", 1, 0, 0.1, [], "no")

    def run_stage(_spec: StageSpec, _stage: StageResult) -> bool:
        while not order:
            time.sleep(0.01)
        order.append("plain")
        return True

    demo = DemoResult("kind", time.time())
    plain = types.SimpleNamespace(run=run_stage, delete_namespace=lambda: None, sent=0)
    watcher = types.SimpleNamespace(weights={EVERYBODY: [], USER: []}, replicas=[])
    probe, terminal = types.SimpleNamespace(since=lambda _began: 1.5), Terminal(2, io.StringIO())
    runs = runner.StageRunner(demo, Ansible(), watcher, plain, None, None, terminal, probe)  # type: ignore[arg-type]
    runs.run(
        [
            StageSpec("plain", "", (), {}, without_mesh=True),
            StageSpec("mesh", "", (Playbook("deploy"),), {}, ahead=True),
        ]
    )
    assert order == ["deploy", "plain"]
    assert demo.stages[1].problems == ["deploy failed"], "its result counts in its own stage"
    assert demo.stages[1].slowdown == 1.5


def demo_cluster(**options: t.Any) -> clusters.Cluster:
    made: dict[str, t.Any] = {
        "name": "kind", "lab_name": "canary", "kubeconfig": "/nowhere", "ingress_url": "http://127.0.0.1:1", "host": "",
        "started_here": False, "from_lab": False, "bookinfo": {}, "facts": {},
    }  # fmt: skip
    return clusters.Cluster(**{**made, **options})


@pytest.mark.parametrize("labels", [None, {}, {"app.kubernetes.io/managed-by": "meshops.canary"}])
def test_a_namespace_that_the_demo_did_not_create_is_refused(
    monkeypatch: pytest.MonkeyPatch, labels: dict[str, str] | None
) -> None:
    """The role bookinfo sets its label on every namespace it creates, so that label proves nothing."""
    found = types.SimpleNamespace(metadata=types.SimpleNamespace(labels=labels))
    monkeypatch.setattr(clusters.Cluster, "_namespace", lambda _self, _name: found)
    with pytest.raises(clusters.ClusterError, match="was not created by the demo"):
        demo_cluster().refuse_foreign_namespace("bookinfo")
    found.metadata.labels = {clusters.DEMO_LABEL: "true"}
    demo_cluster().refuse_foreign_namespace("bookinfo")


def test_the_files_of_an_earlier_demo_are_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(main, "OUT", tmp_path)
    monkeypatch.setattr(main, "ROLLOUT_REPORTS", tmp_path / "demo-rollouts")
    (tmp_path / "demo-rollouts").mkdir()
    for name in ("demo.json", "demo.html", "demo.log", "test.json"):
        (tmp_path / name).write_text("old", encoding="utf-8")
    assert main._clean_out().read_text(encoding="utf-8") == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo.log", "test.json"]


def test_a_cluster_that_did_not_start_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def run(command: list[str], **_options: t.Any) -> types.SimpleNamespace:
        ran.append(command[1])
        return types.SimpleNamespace(returncode=int(command[1] == "up"), stdout="{}", stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(clusters.ClusterError), clusters.Cluster.ready("canary", "bookinfo", keep=False):
        pass
    assert ran == ["status", "up", "down"]


def test_the_printed_commands_work_in_the_checkout() -> None:
    """Each command as a user pastes it, with --syntax-check: that loads collection, playbook and module defaults."""
    assert main.next_commands(demo_cluster(from_lab=True))[-1][1] == "lab/cluster down canary"
    (_name, first), *others = main.next_commands(demo_cluster())
    playbooks = [command for _name, command in others if "ansible-playbook" in command]
    assert len(playbooks) == 3
    for command in playbooks:
        done = subprocess.run(
            ["bash", "-c", f"{first} && {command} --syntax-check"],
            cwd=ROOT.parent, env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "ANSIBLE_HOME": str(ROOT / "out")},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert f"playbook: {ROOT / '.ansible'}" in done.stdout
