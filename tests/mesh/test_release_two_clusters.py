# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A release of two services in two clusters, in two waves, with requests in both: everywhere or nowhere."""

from __future__ import annotations

import contextlib
import json
import typing as t

import pytest
import yaml
from support.direct import Direct
from support.kube import Kube
from support.lab import beside
from support.release_shop import NAME, NEW, OLD, QUICK, begin_anew, services, weights, with_ratings
from support.rollouts import BROKEN_BY, Stage, with_errors
from support.shop import opened

from lab.traffic import Load, Measurement

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from support.lab import Lab
    from support.play import Begun, Played

pytestmark = [pytest.mark.mesh, pytest.mark.alone]

FIRST, SECOND = "berlin", "oslo"
# Two clusters share the machine, so each has half of the load that one has in other tests.
CALLS = Load(seconds=900, limit=900, rate=110, connections=4)
# From outside: a load in a pod would end with the API server that carries its connection.
PAGES = Load(seconds=900, limit=900, rate=30, connections=4)


class Site:
    """The shared cluster and the one beside it, each with a shop. The first is the wave pilot, the second others."""

    def __init__(self, stages: Mapping[str, Stage], labs: Mapping[str, Lab], folder: Path) -> None:
        self.stages, self.labs, self.folder = stages, labs, folder
        self.defaults: dict[str, t.Any] = {}
        self._player = stages[FIRST].shop.player

    def play(self, playbook: str, *options: str, **given: t.Any) -> Played:
        return self._player(f"meshops.canary.{playbook}", *self._files(), *options, **self._report(given))

    @contextlib.contextmanager
    def begun(self, playbook: str, folder: Path | None = None) -> Iterator[Begun]:
        """Start a playbook that can be killed; it does not outlive the block. folder: its working directory."""
        begun = self._player.begin(f"meshops.canary.{playbook}", *self._files(), folder=folder, **self._report({}))
        try:
            yield begun
        finally:
            if begun.process.poll() is None:
                begun.kill()

    def _report(self, given: dict[str, t.Any]) -> dict[str, t.Any]:
        return {"release_report_dir": str(self.folder / "releases"), **given}

    def _files(self) -> tuple[str, ...]:
        hosts = {
            name: {"canary_kubeconfig": self.labs[name].kubeconfig, "ns": stage.shop.namespace}
            for name, stage in self.stages.items()
        }
        groups = {"pilot": {"hosts": {FIRST: None}}, "others": {"hosts": {SECOND: None}}}
        release = {"name": NAME, "services": services("{{ ns }}"), "steps": [25, 50, 100]}
        release["defaults"] = {**QUICK, **self.defaults}
        inventory, data = self.folder / "inventory.yml", self.folder / "release.yml"
        inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts, "children": groups}}), encoding="utf-8")
        data.write_text(yaml.safe_dump({"canary_release": {**release, "waves": list(groups)}}), encoding="utf-8")
        return "-i", str(inventory), "-e", f"@{data}"

    def weights(self) -> dict[str, dict[str, dict[str, float]]]:
        return {name: weights(stage) for name, stage in self.stages.items()}

    def phase(self, name: str) -> str:
        """Return the phase in the record of the release in a cluster, empty without one."""
        stage = self.stages[name]
        found = stage.kube.get("v1", "ConfigMap", f"canary-release-{NAME}", stage.shop.namespace)
        return str(json.loads(found["data"]["release"])["phase"]) if found else ""

    def wait_for(self, begun: Begun, cluster: str, phase: str, at: int) -> None:
        """Wait until the rollout of reviews in a cluster is in this phase of step `at`, counted from 0."""
        self.stages[cluster].wait_for(begun, phase, at)


@pytest.fixture(scope="module")
def clusters(lab: Lab, shop: t.Any, kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Both clusters, each with a shop. The second one exists as long as this file's tests run."""
    folder = tmp_path_factory.mktemp("site")
    with contextlib.ExitStack() as stack:
        second = stack.enter_context(beside(lab, "second"))
        other = Kube(second.kubeconfig)
        there = stack.enter_context(opened(second, other, folder))
        stages = {
            FIRST: Stage(shop, kube, Direct(lab.kubeconfig, shop.namespace)),
            SECOND: Stage(there, other, Direct(second.kubeconfig, there.namespace)),
        }
        for stage in stages.values():
            stage.reset()
            stack.enter_context(with_ratings(stage))
        yield Site(stages, {FIRST: lab, SECOND: second}, folder)


@pytest.fixture
def site(clusters: Site) -> Site:
    """All requests on the old versions in both clusters, and no record of a release."""
    clusters.defaults = {}
    for stage in clusters.stages.values():
        begin_anew(stage)
    assert clusters.weights() == dict.fromkeys((FIRST, SECOND), OLD)
    return clusters


@contextlib.contextmanager
def loaded(site: Site, loads: Mapping[str, Load]) -> Iterator[dict[str, Measurement]]:
    """Send calls to reviews in each cluster; what came of them is there afterwards."""
    seen: dict[str, Measurement] = {}
    with contextlib.ExitStack() as stack:
        running = {
            name: stack.enter_context(site.stages[name].shop.sidecar.background(load)) for name, load in loads.items()
        }
        yield seen
        for load in running.values():
            load.stop()
        seen.update({name: load.result() for name, load in running.items()})


def assert_nothing_lost(seen: Measurement) -> None:
    """Every request to reviews was answered, and every request of reviews to ratings too: an answer has stars."""
    assert seen.failed == 0, seen.reasons
    assert seen.stars.get("none", 0) == 0, seen.stars
    assert seen.ended_by == "stop", "requests were sent all the time"


def test_promoted_in_both_waves_without_a_lost_request(site: Site) -> None:
    with loaded(site, dict.fromkeys((FIRST, SECOND), CALLS)) as seen:
        site.play("release")
    assert site.weights() == dict.fromkeys((FIRST, SECOND), NEW)
    for one in seen.values():
        assert_nothing_lost(one)
        assert {"v2", "v3"} <= set(one.counts)
    assert seen[FIRST].first_sent["v3"] < seen[SECOND].first_sent["v3"], "one wave after the other"
    assert [site.phase(name) for name in (FIRST, SECOND)] == ["finished", "finished"]
    report = (site.folder / "releases" / f"release-{NAME}.md").read_text(encoding="utf-8")
    rows = {name: line for name in site.stages for line in report.splitlines() if line.startswith(f"| {name} |")}
    assert [row.count("| promoted ") for row in rows.values()] == [2, 2], report


def test_a_bad_service_in_the_second_cluster_takes_all_back_everywhere(site: Site) -> None:
    loads = {FIRST: CALLS, SECOND: with_errors(CALLS, v3=0.5)}
    with loaded(site, loads) as seen:
        played = site.play("release", fails=True)
    assert site.weights() == dict.fromkeys((FIRST, SECOND), OLD)
    assert_nothing_lost(seen[FIRST])
    assert seen[FIRST].counts.get("v3"), "the first wave had ended with all requests on the new versions"
    assert seen[SECOND].failed > 0
    assert all(one.startswith(BROKEN_BY) for one in seen[SECOND].reasons), (
        f"its own errors alone: {seen[SECOND].reasons}"
    )
    assert seen[SECOND].stars.get("none", 0) == 0
    assert [site.phase(name) for name in (FIRST, SECOND)] == ["rolled_back", "rolled_back"]
    assert f"Release {NAME} failed in {SECOND}" in str([result.get("msg") for _task, _host, result in played.tasks])


@pytest.mark.soak
def test_an_api_server_down_in_the_middle_keeps_nobody_and_is_named_for_later(site: Site) -> None:
    site.defaults["deadline"] = f"{{{{ 20 if inventory_hostname == '{SECOND}' else 120 }}}}"
    with contextlib.ExitStack() as stack:
        pages = [stack.enter_context(one.shop.gateway.background(PAGES)) for one in site.stages.values()]
        begun = stack.enter_context(site.begun("release"))
        site.wait_for(begun, SECOND, "observing", 0)
        with site.labs[SECOND].without_api_server():
            begun.wait(fails=True)
            assert weights(site.stages[FIRST]) == OLD, "it is back although the other cluster does not answer"
        printed = begun.log.read_text(encoding="utf-8")
        assert f"Release {NAME} failed in {SECOND}" in printed
        assert (
            f"NOT rolled back: {SECOND}. Once they can be reached: ansible-playbook meshops.canary.release_rollback"
            in printed
        )
        assert weights(site.stages[SECOND]) != OLD, "nobody could reach it: else this shows nothing"
        site.play("release_rollback", "--limit", SECOND)
        assert site.weights() == dict.fromkeys((FIRST, SECOND), OLD)
        for load in pages:
            load.stop()
        seen = [load.result() for load in pages]
    for one in seen:
        assert_nothing_lost(one)


@pytest.mark.soak
def test_killed_in_the_second_wave_it_goes_on_from_another_folder(site: Site, tmp_path: Path) -> None:
    with loaded(site, dict.fromkeys((FIRST, SECOND), CALLS)) as seen:
        with site.begun("release") as begun:
            site.wait_for(begun, SECOND, "observing", 0)
            begun.kill()
        with site.begun("release", folder=tmp_path) as again:
            again.wait()
    assert site.weights() == dict.fromkeys((FIRST, SECOND), NEW)
    for one in seen.values():
        assert_nothing_lost(one)
    assert [site.phase(name) for name in (FIRST, SECOND)] == ["finished", "finished"]
    assert seen[FIRST].last_sent["v2"] < seen[SECOND].first_sent["v3"], "the finished wave was not moved back"
