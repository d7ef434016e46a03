# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo's rollouts, its endings, and what it leaves: nothing old, nobody else's, and commands that work."""

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
from lab.demo import main, show
from lab.demo.charts import timeline, versions_of
from lab.demo.plain import early_end
from lab.demo.player import ROOT, Play, Played
from lab.demo.report import page
from lab.demo.result import EVERYBODY, Stage, Story
from lab.demo.stages import USER, Step, steps
from lab.demo.terminal import Terminal
from tests.unit.lab.sample_story import seen, story

if t.TYPE_CHECKING:
    from pathlib import Path

LOST = 'status 500: {"error": "injected fault"}'


def test_a_load_that_was_not_there_to_the_end_is_a_trouble() -> None:
    to_the_end = seen(random.Random(1), {"v1": 100}, 10)
    assert early_end(dataclasses.replace(to_the_end, ended_by="stop"), "client") == []
    early = early_end(dataclasses.replace(to_the_end, ended_by="limit"), "client")
    assert early == ["the load from the client ended early, by its limit"]


def test_only_what_the_bad_version_says_of_itself_is_meant_to_fail() -> None:
    measured = seen(random.Random(1), {"v2": 100}, 10, failed=3)
    assert show.meant_to_fail(measured) == 0
    assert show.meant_to_fail(dataclasses.replace(measured, reasons={LOST: 2, "status 503: no": 1})) == 2


def test_a_bad_rollout_harms_and_does_not_lose() -> None:
    told = story()
    course = told.courses[0]
    course.timeline[-1] = show.harm([{"at": course.timeline[-1]["at"], "counts": {"v2": 30, "failed": 9}}])[0]
    told.stages[-2].harmed = 9
    assert told.failed == 0
    assert told.as_dict()["stages"][-2]["harmed"] == 9
    assert versions_of(told) == ["v1", "v2", "v3"]
    drawing = timeline(told)
    assert "9 failed by the bad version" in drawing
    assert 'class="lost"' not in drawing
    assert "more failed by the bad version, until taken back" in page(told)


@pytest.mark.parametrize(("phase", "troubles"), [("rolled_back", 0), ("promoted", 1)])
def test_the_verdict_is_that_of_the_rollouts_own_report(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, phase: str, troubles: int
) -> None:
    folder = tmp_path / "out" / "rollouts"
    folder.mkdir(parents=True)
    monkeypatch.setattr(show, "ROLLOUTS", folder)
    stage = Stage("a bad rollout", "")
    show.tell_rollout("rolled_back", stage)
    assert "left no report" in stage.troubles.pop()
    report = {"phase": phase, "reason": "errors: 50% against 0%", "stable": "v2", "canary": "v3"}
    (folder / "reviews-1.json").write_text(json.dumps(report), encoding="utf-8")
    show.tell_rollout("rolled_back", stage)
    assert stage.notes[0] == f"v2 -> v3: {phase.replace('_', ' ')}. errors: 50% against 0%"
    assert stage.notes[1].endswith("out/rollouts/reviews-1.html")
    assert len(stage.troubles) == troubles


def test_images_that_cannot_be_told_to_fail_have_no_bad_rollout() -> None:
    names = [step.name for step in steps("bookinfo", {})]
    assert "a good rollout" in names
    assert "a bad rollout" not in names


def test_the_mesh_is_deployed_beside_the_stages_without_one() -> None:
    order: list[str] = []

    class Ansible:
        def run(self, play: Play) -> Played:
            order.append(play.playbook)
            return Played(play.playbook != "deploy", 1, 0, 0.1, [], "no")

    def plain_stage(_step: Step, _stage: Stage) -> bool:
        while not order:
            time.sleep(0.01)
        order.append("plain")
        return True

    told = Story("kind", time.time())
    plain = types.SimpleNamespace(run=plain_stage, end=lambda: None, sent=0)
    watch = types.SimpleNamespace(weights={EVERYBODY: [], USER: []}, replicas=[])
    shown = show.Show(told, Ansible(), watch, plain, None, None, Terminal(2, io.StringIO()))  # type: ignore[arg-type]
    shown.run([Step("plain", "", (), {}, plain=True), Step("mesh", "", (Play("deploy"),), {}, ahead=True)])
    assert order == ["deploy", "plain"]
    assert told.stages[1].troubles == ["deploy failed"], "its outcome counts where its stage is"


def demo_cluster(**options: t.Any) -> clusters.Cluster:
    made: dict[str, t.Any] = {
        "name": "kind", "lab_name": "canary", "kubeconfig": "/nowhere", "ingress_url": "http://127.0.0.1:1", "host": "",
        "mine": False, "from_lab": False, "bookinfo": {}, "facts": {},
    }  # fmt: skip
    return clusters.Cluster(**{**made, **options})


@pytest.mark.parametrize("labels", [None, {}, {"app.kubernetes.io/managed-by": "meshops.canary"}])
def test_a_namespace_of_a_user_is_refused(monkeypatch: pytest.MonkeyPatch, labels: dict[str, str] | None) -> None:
    """The role bookinfo gives its label to every namespace it makes, so that label does not make it the demo's."""
    found = types.SimpleNamespace(metadata=types.SimpleNamespace(labels=labels))
    monkeypatch.setattr(clusters.Cluster, "_namespace", lambda _self, _name: found)
    with pytest.raises(clusters.ClusterError, match="is not the demo's"):
        demo_cluster().refuse_foreign_namespace("bookinfo")
    found.metadata.labels = {clusters.DEMO: "true"}
    demo_cluster().refuse_foreign_namespace("bookinfo")


def test_an_earlier_demos_results_are_gone_before_this_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(main, "OUT", tmp_path)
    monkeypatch.setattr(main, "ROLLOUTS", tmp_path / "demo-rollouts")
    (tmp_path / "demo-rollouts").mkdir()
    for name in ("demo.json", "demo.html", "demo.log", "test.json"):
        (tmp_path / name).write_text("old", encoding="utf-8")
    assert main._clean_out().read_text(encoding="utf-8") == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo.log", "test.json"]


def test_a_cluster_that_did_not_come_up_is_taken_down(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def run(command: list[str], **_options: t.Any) -> types.SimpleNamespace:
        ran.append(command[1])
        return types.SimpleNamespace(returncode=int(command[1] == "up"), stdout="{}", stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(clusters.ClusterError), clusters.Cluster.ready("canary", "bookinfo", keep=False):
        pass
    assert ran == ["status", "up", "down"]


def test_what_is_printed_to_play_with_works_in_the_checkout() -> None:
    """Each command as a user pastes it, up to the syntax check: that finds collection, playbook and module defaults."""
    assert main.how_to_play(demo_cluster(from_lab=True))[-1][1] == "lab/cluster down canary"
    (_name, first), *others = main.how_to_play(demo_cluster())
    played = [command for _name, command in others if "ansible-playbook" in command]
    assert len(played) == 3
    for command in played:
        done = subprocess.run(
            ["bash", "-c", f"{first} && {command} --syntax-check"],
            cwd=ROOT.parent, env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "ANSIBLE_HOME": str(ROOT / "out")},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert f"playbook: {ROOT / '.ansible'}" in done.stdout
