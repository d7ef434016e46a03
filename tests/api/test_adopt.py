# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook adopt on a real API server. The CRDs of Argo Rollouts and Flagger are stubs without a schema.

No controller runs. What their controllers do with the changes is read from their source; see docs/migration.md.
"""

from __future__ import annotations

import copy
import json
import threading
import time
import typing as t

import pytest
import yaml
from support.foreign_manifests import argo, autoscaler, flagger, measured, template, uses

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.kube import Kube
    from support.play import Played, Player

Json = dict[str, t.Any]
KINDS = {
    "argoproj.io/v1alpha1": {"Rollout": "rollouts", "AnalysisTemplate": "analysistemplates"},
    "flagger.app/v1beta1": {"Canary": "canaries", "MetricTemplate": "metrictemplates"},
}
HEALTHY = {"phase": "Healthy", "stableRS": "abc", "currentPodHash": "abc", "observedGeneration": "1"}
METRIC = {"name": "request-success-rate", "thresholdRange": {"min": 99}}


def stub_crd(version: str, kind: str, plural: str) -> Json:
    """Return a CRD of that kind that takes any fields and has no subresource for its status."""
    group, _slash, name = version.partition("/")
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    served = {"name": name, "served": True, "storage": True, "schema": schema}
    spec = {"group": group, "names": {"kind": kind, "plural": plural}, "scope": "Namespaced", "versions": [served]}
    metadata = {"name": f"{plural}.{group}", "labels": {"meshops.io/stub": "adopt"}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": spec,
    }


@pytest.fixture(scope="module", autouse=True)
def stubs(kube: Kube) -> Iterator[None]:
    """The kinds of both tools, as stubs. They are removed at the end, which takes the API server seconds."""
    crds = [stub_crd(version, kind, plural) for version, kinds in KINDS.items() for kind, plural in kinds.items()]
    kube.apply(*crds)
    paths = [f"/apis/{version}/{plural}" for version, kinds in KINDS.items() for plural in kinds.values()]
    for path in paths:
        kube.wait_until(lambda path=path: _served(kube, path), 60, path)
    yield
    for one in crds:
        kube.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", one["metadata"]["name"])


def _served(kube: Kube, path: str) -> bool:
    try:
        kube.request("GET", path)
    except AssertionError:
        return False
    return True


def rollout(space: str, **status: t.Any) -> Json:
    found = argo([{"setCanaryScale": {"replicas": 1}}, {"setWeight": 20}, {"analysis": uses("quality")}])
    found["metadata"]["namespace"] = space
    return {**found, "status": {**HEALTHY, **status}}


def quality(space: str) -> Json:
    metric = measured("up", "up", successCondition="result[0] >= 1", interval="10s", count=3)
    found = template(metric)
    found["metadata"]["namespace"] = space
    return found


def adopt(play: Player, space: str, folder: Path, *options: str, fails: bool = False, **given: t.Any) -> Played:
    variables = {"resource": "checkout", "ns": space, "stable": "v1", "canary": "v2", "directory": str(folder), **given}
    return play("meshops.canary.adopt", *options, fails=fails, **variables)


def written(folder: Path, name: str) -> t.Any:
    return yaml.safe_load((folder / f"checkout-{name}").read_text(encoding="utf-8"))


def acknowledge(kube: Kube, space: str) -> threading.Thread:
    """Say what the controller of Argo Rollouts says when it has seen a change: its generation."""

    def observe() -> None:
        for _attempt in range(600):
            found = kube.get("argoproj.io/v1alpha1", "Rollout", "checkout", space)
            if found and found["spec"].get("paused"):
                body = {"status": {"observedGeneration": str(found["metadata"]["generation"] + 1)}}
                kube.patch("argoproj.io/v1alpha1", "Rollout", "checkout", space, body)  # no subresource: one more
                return
            time.sleep(0.1)

    thread = threading.Thread(target=observe, daemon=True)
    thread.start()
    return thread


def test_a_rollout_is_translated_and_nothing_is_changed(
    play: Player, kube: Kube, namespace: str, tmp_path: Path
) -> None:
    scaler = autoscaler("Rollout", "checkout")
    scaler["spec"]["scaleTargetRef"]["apiVersion"] = "argoproj.io/v1alpha1"
    kube.apply(rollout(namespace), quality(namespace), scaler, namespace=namespace)
    before = kube.get("argoproj.io/v1alpha1", "Rollout", "checkout", namespace)
    played = adopt(play, namespace, tmp_path, tool="argo_rollouts")
    lines = played.task("Display the translation")["msg"]
    assert any(line.startswith("step 1: 20 %, for 20 s, judged, with 1 pods or more") for line in lines)
    assert written(tmp_path, "rollout.yml")["rollout_metrics"][0]["query"] == "up"
    assert written(tmp_path, "autoscale.yml")["autoscale_max"] == 8
    assert kube.get("argoproj.io/v1alpha1", "Rollout", "checkout", namespace) == before


def test_a_rollout_is_taken_over_and_given_back(play: Player, kube: Kube, namespace: str, tmp_path: Path) -> None:
    kube.apply(rollout(namespace), quality(namespace), namespace=namespace)
    before = kube.get("argoproj.io/v1alpha1", "Rollout", "checkout", namespace)
    assert before
    thread = acknowledge(kube, namespace)
    played = adopt(play, namespace, tmp_path, tool="argo_rollouts", adopt_take_over=True)
    thread.join()
    after = kube.get("argoproj.io/v1alpha1", "Rollout", "checkout", namespace)
    assert after
    assert after["spec"]["paused"] is True
    assert after["spec"]["strategy"]["canary"] == {}
    assert any("cannot be undone" in line for line in played.task("Display what is left to do")["msg"])
    again = adopt(play, namespace, tmp_path, tool="argo_rollouts", adopt_take_over=True)
    assert again.changed == 0, "the files of the take-over stay"
    assert "its controller has let go of it" in again.task("Display that it has been taken over")["msg"]
    undo = json.loads((tmp_path / "checkout-undo.json").read_text(encoding="utf-8"))
    restored = kube.patch("argoproj.io/v1alpha1", "Rollout", "checkout", namespace, undo)
    assert restored["spec"] == before["spec"]


def test_a_rollout_without_a_controller_is_said_to_be_unseen(
    play: Player, kube: Kube, namespace: str, tmp_path: Path
) -> None:
    kube.apply(rollout(namespace), quality(namespace), namespace=namespace)
    played = adopt(play, namespace, tmp_path, tool="argo_rollouts", adopt_take_over=True, adopt_wait=2, fails=True)
    message = played.tasks[-1][2]["msg"]
    assert "its controller has not seen that in 2 s" in message
    assert "--patch-file" in message


@pytest.mark.parametrize("options", [(), ("--check",)])
def test_an_update_under_way_is_refused(
    play: Player, kube: Kube, namespace: str, tmp_path: Path, options: tuple[str, ...]
) -> None:
    kube.apply(rollout(namespace, phase="Progressing"), quality(namespace), namespace=namespace)
    before = copy.deepcopy(kube.get("argoproj.io/v1alpha1", "Rollout", "checkout", namespace))
    played = adopt(play, namespace, tmp_path, *options, tool="argo_rollouts", adopt_take_over=True, fails=True)
    assert "its phase is Progressing, not Healthy" in played.tasks[-1][2]["msg"]
    assert kube.get("argoproj.io/v1alpha1", "Rollout", "checkout", namespace) == before


def test_a_canary_is_suspended_and_given_back(play: Player, kube: Kube, namespace: str, tmp_path: Path) -> None:
    canary = flagger(METRIC, interval="10s")
    canary["metadata"]["namespace"] = namespace
    kube.apply({**canary, "status": {"phase": "Succeeded", "canaryWeight": 0}}, namespace=namespace)
    checked = adopt(play, namespace, tmp_path, "--check", tool="flagger", adopt_take_over=True)
    assert checked.task("Tell the controller to let go of it")["changed"]
    assert "suspend" not in kube.get("flagger.app/v1beta1", "Canary", "checkout", namespace)["spec"]  # type: ignore[index]
    adopt(play, namespace, tmp_path, tool="flagger", adopt_take_over=True)
    assert kube.get("flagger.app/v1beta1", "Canary", "checkout", namespace)["spec"]["suspend"] is True  # type: ignore[index]
    again = adopt(play, namespace, tmp_path, tool="flagger", adopt_take_over=True)
    assert again.stats["localhost"]["changed"] <= 1, "only the file with the translation differs"
    undo = json.loads((tmp_path / "checkout-undo.json").read_text(encoding="utf-8"))
    restored = kube.patch("flagger.app/v1beta1", "Canary", "checkout", namespace, undo)
    assert restored["spec"] == canary["spec"]


def test_an_object_that_is_not_there_is_said_so(play: Player, namespace: str, tmp_path: Path) -> None:
    played = adopt(play, namespace, tmp_path, tool="flagger", fails=True)
    assert "There is no Canary checkout in the namespace" in played.tasks[-1][2]["msg"]
