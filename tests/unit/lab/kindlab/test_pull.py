# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster of published images: what the lab starts, with stand-ins of docker, kind, kubectl and istioctl.

Each stand-in records its arguments and standard input, and answers what a cluster answers whose pods are ready.
"""

from __future__ import annotations

import json
import os
import re
import sys
import typing as t

import pytest
import yaml

from lab.kindlab import addons, cli, cluster, images, kindcluster, mesh, nodeimage, programs, sources
from lab.kindlab.errors import LabError
from lab.kindlab.lab import Lab

if t.TYPE_CHECKING:
    import pathlib

Call = tuple[str, list[str], str]

STAND_IN = (
    f"#!{sys.executable} -IS"
    + """
import json, pathlib, sys
name, folder = pathlib.Path(sys.argv[0]).name, pathlib.Path(sys.argv[0]).parent
words = sys.argv[1:]
given = "" if name == "istioctl" or sys.stdin is None else sys.stdin.read()
with (folder / "calls").open("a") as calls:
    calls.write(json.dumps([name, words, given]) + "\\n")
line = " ".join([name, *words])
if line == "docker info --format {{.CgroupVersion}}":
    print((folder / "control-groups").read_text())
elif line.startswith("docker info"):
    print(json.dumps({"ServerVersion": "28"}))
elif line.startswith("docker manifest inspect"):
    sys.exit((folder / "no-registry").exists())
elif line.startswith("docker network inspect"):
    sys.exit(1)
elif line.startswith("docker inspect"):
    print("172.18.0.2")
elif line.startswith("kind create"):
    kubeconfig = next(word.partition("=")[2] for word in words if word.startswith("--kubeconfig="))
    port = json.loads(given)["networking"]["apiServerPort"]
    pathlib.Path(kubeconfig).write_text(f"server: https://127.0.0.1:{port}")
elif "--raw=/readyz" in words:
    print("ok")
elif "get" in words and "deployments" in words:
    ready = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}
    names = ("metrics-server", "prometheus")
    items = [{"metadata": {"name": n, "generation": 1}, "spec": {"replicas": 1}, "status": ready} for n in names]
    print(json.dumps({"items": items}))
elif "get" in words and "pods" in words:
    print(json.dumps({"items": []}))
elif "--dry-run=server" in words:
    print("admission webhook denied the request", file=sys.stderr)
    sys.exit(1)
"""
)


class Machine:
    """A machine whose programs are stand-ins."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name in ("docker", "kind", "kubectl", "istioctl"):
            (folder / name).write_text(STAND_IN, encoding="utf-8")
            (folder / name).chmod(0o755)
        self.control_groups("2")

    def control_groups(self, version: str) -> None:
        (self.folder / "control-groups").write_text(version, encoding="utf-8")

    def without_registry(self) -> None:
        (self.folder / "no-registry").touch()

    def calls(self, start: str = "") -> list[Call]:
        """Return the calls whose command line begins with `start`."""
        lines = (self.folder / "calls").read_text(encoding="utf-8").splitlines()
        every = [t.cast("Call", tuple(json.loads(line))) for line in lines]
        return [call for call in every if " ".join([call[0], *call[1]]).startswith(start)]


@pytest.fixture
def machine(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The stand-ins, first on the PATH; whoever builds or loads an image fails the test."""
    machine = Machine(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{machine.folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CANARY_LAB_NODE_IMAGE", raising=False)
    monkeypatch.setattr(programs, "program", lambda name: machine.folder / name)
    monkeypatch.setattr(programs, "module_dir", lambda _module: tmp_path)
    for module, name in (
        *((images, "infrastructure"), (images, "application")),
        *((nodeimage, "node_archive"), (kindcluster, "load_images")),
    ):
        monkeypatch.setattr(module, name, lambda *_a, name=name, **_k: pytest.fail(f"{name} builds or loads an image"))
    return machine


def test_a_cluster_of_published_images_builds_and_loads_none(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGES", "pull")
    lab = cluster.up("pulled")
    assert (lab.source, lab.images_mode, cluster.is_ready(lab)) == (sources.DOCKER, "pull", True)
    ((_name, words, given),) = machine.calls("kind create cluster")
    assert not [word for word in words if word.startswith("--image")], "kind's own node image"
    assert json.loads(given)["networking"]["disableDefaultCNI"] is False, "and its pod network"
    ((_name, words, _given),) = machine.calls("istioctl install")
    assert [word for word in words if word.endswith(".yaml")] == [str(mesh.MANIFESTS / "istio.yaml")]
    assert {f"hub={mesh.PUBLISHED_HUB}", f"tag={mesh.PUBLISHED_TAG}"} <= set(words)


def test_every_image_of_its_manifests_is_a_published_one(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGES", "pull")
    cluster.up("pulled")
    applied = [given for _name, words, given in machine.calls("kubectl") if "apply" in words and given]
    pulled = set(re.findall(r"image: *\"?([^\s\"]+)", "\n".join(applied)))
    assert pulled == {addons.PUBLISHED_METRICS_SERVER, addons.PUBLISHED_PROMETHEUS}
    kinds = [one["kind"] for text in applied for one in yaml.safe_load_all(text) if one]
    assert "Deployment" in kinds


def test_the_programs_of_the_machine_are_used(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGES", "pull")
    lab = cluster.up("pulled")
    assert lab.kubectl_program == str(machine.folder / "kubectl")
    assert cli._program_folders(lab) == []
    facts = cluster.status(lab)
    assert facts["images"] == {}, "Bookinfo's own images are published"
    assert facts["images_mode"] == "pull"


def test_down_removes_the_cluster_and_the_network_that_kind_made(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGES", "pull")
    cluster.up("pulled")
    before = len(machine.calls("kind delete cluster"))
    cluster.down("pulled")
    assert len(machine.calls("kind delete cluster")) == before + 1
    assert machine.calls("docker network rm kind")
    assert not Lab("pulled").registered


def test_without_a_setting_images_are_pulled_if_a_registry_answers(machine: Machine) -> None:
    assert sources.images_mode(sources.Source(sources.DOCKER, "")) == ("pull", "a registry answers")
    ((_name, words, _given),) = machine.calls("docker manifest")
    assert words[-1] == sources.PULLED_NODE
    machine.without_registry()
    assert sources.images_mode(sources.Source(sources.DOCKER, ""))[0] == "build"


def test_the_node_image_of_the_user_is_asked_for_and_pulled(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_LAB_NODE_IMAGE", "mirror.shop.test/kindest/node:v1.34.0")
    machine.control_groups("1")
    cluster.up("pulled")
    ((_name, words, _given),) = machine.calls("docker manifest")
    assert words[-1] == "mirror.shop.test/kindest/node:v1.34.0"
    ((_name, words, _given),) = machine.calls("kind create cluster")
    assert "--image=mirror.shop.test/kindest/node:v1.34.0" in words


def test_a_daemon_on_which_the_node_image_cannot_start_is_refused_or_built_for(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.control_groups("1")
    mode, reason = sources.images_mode(sources.Source(sources.DOCKER, ""))
    assert mode == "build"
    assert "control groups version 1" in reason
    monkeypatch.setenv("IMAGES", "pull")
    with pytest.raises(LabError, match="needs version 2") as caught:
        cluster.up("pulled")
    assert "CANARY_LAB_NODE_IMAGE" in caught.value.remedy
    assert machine.calls("kind") == [], "nothing was started"
