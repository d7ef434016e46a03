# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks of a release, over an inventory whose clusters are namespaces of the lab: waves, failures, going on."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
import yaml
from support.direct import ISTIO, destination_rule, service, virtual_service

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from support.kube import Kube
    from support.lab import Lab
    from support.namespaces import Namespaces
    from support.play import Played, Player

NAMES = ("ratings", "reviews")
CLUSTERS = ("berlin", "oslo")


class Site:
    """Two clusters, each with the services ratings and reviews: berlin in the wave pilot, oslo in the wave others."""

    def __init__(self, lab: Lab, kube: Kube, play: Player, folder: Path, namespaces: dict[str, str]) -> None:
        self.kube, self._play, self.folder, self.namespaces = kube, play, folder, namespaces
        self.hosts: dict[str, dict[str, str]] = {
            name: {"canary_kubeconfig": lab.kubeconfig, "ns": namespace} for name, namespace in namespaces.items()
        }
        services = [{"service": name, "namespace": "{{ ns }}", "stable": "v1", "canary": "v2"} for name in NAMES]
        quick = {"pause": 0, "analysis": False, "capacity": False}
        quick["force"] = ["SUBSET_NOT_READY", "CAPACITY_BELOW_SHARE"]
        self.release: dict[str, t.Any] = {
            "name": "shop-42",
            "ticket": "OPS-42",
            "services": services,
            "steps": [20],
            "defaults": quick,
            "waves": ["pilot", "others"],
        }

    def run(self, playbook: str, *options: str, **given: t.Any) -> Played:
        inventory = self.folder / "inventory.yml"
        groups = {"pilot": {"hosts": {"berlin": None}}, "others": {"hosts": {"oslo": None}}}
        listed = {"all": {"hosts": self.hosts, "children": groups}}
        inventory.write_text(yaml.safe_dump(listed), encoding="utf-8")
        data = self.folder / "release.yml"
        data.write_text(yaml.safe_dump({"canary_release": self.release}), encoding="utf-8")
        given.setdefault("release_report_dir", str(self.folder / "releases"))
        files = ("-i", str(inventory), "-e", f"@{data}")
        return self._play(f"meshops.canary.{playbook}", *files, *options, **given)

    def weights(self) -> dict[str, list[dict[str, int]]]:
        return {name: [self._weights(namespace, one) for one in NAMES] for name, namespace in self.namespaces.items()}

    def _weights(self, namespace: str, name: str) -> dict[str, int]:
        found = self.kube.get(ISTIO, "VirtualService", name, namespace)
        assert found
        route = found["spec"]["http"][-1]["route"]
        return {one["destination"]["subset"]: one["weight"] for one in route if one.get("weight")}

    def phases(self) -> dict[str, str]:
        found = {}
        for name, namespace in self.namespaces.items():
            record = self.kube.get("v1", "ConfigMap", "canary-release-shop-42", namespace)
            found[name] = json.loads(record["data"]["release"])["phase"] if record else ""
        return found


@pytest.fixture
def site(lab: Lab, kube: Kube, play: Player, tmp_path: Path, namespaces: Namespaces) -> Iterator[Site]:
    taken = {name: namespaces.take() for name in CLUSTERS}
    for namespace in taken.values():
        for name in NAMES:
            objects = (service(name), destination_rule(name), virtual_service(name=name, host=name))
            kube.apply(*objects, namespace=namespace)
    yield Site(lab, kube, play, tmp_path, taken)
    for namespace in taken.values():
        namespaces.give_back(namespace)


STABLE = {name: [{"v1": 100}] * 2 for name in CLUSTERS}
NEW = {name: [{"v2": 100}] * 2 for name in CLUSTERS}


def test_wave_by_wave_to_the_end_and_back(site: Site, tmp_path: Path) -> None:
    planned = site.run("release", "--check", "--diff")
    assert planned.changed
    assert (site.weights(), site.phases()) == (STABLE, dict.fromkeys(CLUSTERS, ""))
    site.run("release", release_until="pilot")
    assert site.weights() == {"berlin": NEW["berlin"], "oslo": STABLE["oslo"]}
    assert site.phases() == {"berlin": "shifted", "oslo": ""}
    done = site.run("release")
    assert (site.weights(), site.phases()) == (NEW, dict.fromkeys(CLUSTERS, "finished"))
    shown = [one for _task, _host, result in done.tasks for one in result.get("lines", ())]
    assert shown
    assert all(line.startswith(("berlin | ", "oslo | ")) for line in shown)
    report = (tmp_path / "releases" / "release-shop-42.md").read_text(encoding="utf-8")
    assert report.startswith("# Release shop-42 (OPS-42)\n")
    assert "| berlin | promoted | promoted |" in report
    stored = json.loads((tmp_path / "releases" / "release-shop-42.json").read_text(encoding="utf-8"))
    assert [one["cluster"] for one in stored["services"]] == ["berlin", "berlin", "oslo", "oslo"]
    rows = site.run("release_status").task("meshops.canary.release : Display the status")["msg"]
    assert [row.partition(" | ")[0] for row in rows] == ["berlin", "berlin", "oslo", "oslo"]
    assert all("promoted | 100%" in row for row in rows)
    site.run("release_rollback", release_note="the checkout is slow")
    assert (site.weights(), site.phases()) == (STABLE, dict.fromkeys(CLUSTERS, "rolled_back"))


def test_a_problem_in_one_cluster_stops_the_release_before_anything_is_written(site: Site) -> None:
    site.kube.delete(ISTIO, "DestinationRule", "reviews", site.namespaces["oslo"])
    refused = site.run("release", fails=True)
    assert (site.weights(), site.phases()) == (STABLE, dict.fromkeys(CLUSTERS, ""))
    assert "nothing was written" in str(refused.task("meshops.canary.release : Stop before anything is written")["msg"])


@pytest.mark.parametrize(("policy", "berlin"), [("rollback_all", "v1"), ("rollback_wave", "v2"), ("stop", "v2")])
def test_the_failure_policy_decides_about_the_waves_before(site: Site, policy: str, berlin: str) -> None:
    site.release["on_failure"] = policy
    site.release["defaults"] = {
        **site.release["defaults"],
        "analysis": "{{ inventory_hostname == 'oslo' }}",
        "deadline": "{{ 3 if inventory_hostname == 'oslo' else 600 }}",  # no requests are no evidence, so oslo fails
    }
    site.run("release", release_until="pilot")
    failed = site.run("release", fails=True)
    assert "Release shop-42 failed in oslo" in str([one[2].get("msg") for one in failed.tasks])
    assert site.weights() == {"berlin": [{berlin: 100}] * 2, "oslo": STABLE["oslo"]}
    assert site.phases()["oslo"] == "rolled_back"


def test_a_cluster_that_cannot_be_reached_stops_the_release_or_is_left_out(site: Site, tmp_path: Path) -> None:
    gone = yaml.safe_load(Path(site.hosts["oslo"]["canary_kubeconfig"]).read_text(encoding="utf-8"))
    gone["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    other = tmp_path / "gone.kubeconfig"
    other.write_text(yaml.safe_dump(gone), encoding="utf-8")
    site.hosts["oslo"]["canary_kubeconfig"] = str(other)
    stopped = site.run("release", fails=True)
    assert "127.0.0.1:9" in str(stopped.task("meshops.canary.release : Stop before anything is written")["msg"])
    assert site.weights() == STABLE
    site.run("release", release_skip_unreachable="true")
    assert site.weights() == {"berlin": NEW["berlin"], "oslo": STABLE["oslo"]}
    assert site.phases()["berlin"] == "shifted", "it is not finished without oslo"


def test_clusters_in_no_wave_and_waves_that_are_no_groups_are_refused(site: Site) -> None:
    site.release["waves"] = ["pilot"]
    refused = site.run("release", fails=True)
    assert "oslo is in none of the waves pilot" in str([one[2].get("msg") for one in refused.tasks])
    site.release["waves"] = ["pilot", "othres"]
    refused = site.run("release", fails=True)
    assert "The inventory has no group othres" in str([one[2].get("msg") for one in refused.tasks])
    assert site.weights() == STABLE


def test_a_limited_release_is_not_finished_and_goes_on_from_another_folder(site: Site, tmp_path: Path) -> None:
    limited = site.run("release", "--limit", "berlin")
    assert "not part of this run: oslo" in str(limited.task("meshops.canary.release : Display what comes next")["msg"])
    assert site.phases() == {"berlin": "shifted", "oslo": ""}
    site.folder = tmp_path / "other"
    site.folder.mkdir()
    site.run("release")
    assert (site.weights(), site.phases()) == (NEW, dict.fromkeys(CLUSTERS, "finished"))
