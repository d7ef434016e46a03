# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A service whose objects come from Git by Flux: paused for a rollout, resumed at its end, and named where it reverts.

Flux's controller is a stand-in, see support/kustomize_controller.py; the API server is real.
"""

from __future__ import annotations

import subprocess
import typing as t

import pytest
import yaml
from ansible_collections.meshops.canary.plugins.module_utils.kube.http import Transport
from support.direct import AT_ONCE, ISTIO, destination_rule, service, virtual_service
from support.kustomize_controller import GROUP, KustomizeStandIn
from support.rollout_tasks import LEASES

if t.TYPE_CHECKING:
    from pathlib import Path

    from support.direct import Direct
    from support.kube import Kube, Object
    from support.play import Player

PLAN: dict[str, t.Any] = {
    **AT_ONCE,
    "steps": [10, 50],
    "force": ["CAPACITY_BELOW_SHARE", "SUBSET_NOT_READY"],
}
MARK = "canary.meshops.io/gitops-pause"


@pytest.fixture
def flux(kube: Kube, namespace: str) -> KustomizeStandIn:
    found = KustomizeStandIn(kube, namespace, service(), destination_rule(), virtual_service())
    found.reconcile()
    return found


def live(kube: Kube, namespace: str) -> Object:
    found = kube.get(ISTIO, "VirtualService", "reviews", namespace)
    assert found
    return found


def weights(obj: Object) -> dict[str, int]:
    return {
        one["destination"]["subset"]: one["weight"] for one in obj["spec"]["http"][-1]["route"] if one.get("weight")
    }


def marks(obj: Object) -> set[str]:
    return {MARK, f"{GROUP}/reconcile"} & set(obj["metadata"].get("annotations") or {})


def test_without_a_pause_the_rollout_is_refused_by_name(direct: Direct, kube: Kube, flux: KustomizeStandIn) -> None:
    refused = direct("rollout", fails=True, **PLAN)
    assert "[REVERTED_BY_GITOPS] VirtualService" in refused["msg"]
    assert "Kustomization flux-system/apps" in refused["msg"]
    assert "pause_gitops" in refused["msg"]
    assert weights(live(kube, direct.namespace)) == {"v1": 100}
    assert flux.applied == 3


def test_the_tool_is_paused_for_the_routing_objects_alone(direct: Direct, kube: Kube, flux: KustomizeStandIn) -> None:
    seen: list[tuple[dict[str, int], int]] = []

    def show(module: str, _part: t.Mapping[str, t.Any]) -> None:
        if module == "canary_weight":
            before, flux.applied, flux.skipped = weights(live(kube, direct.namespace)), 0, 0
            flux.reconcile()
            assert weights(live(kube, direct.namespace)) == before
            seen.append((before, flux.applied))

    direct.show = show
    result = direct("rollout", pause_gitops="until_end", **PLAN)
    assert [one[0] for one in seen] == [{"v1": 90, "v2": 10}, {"v1": 50, "v2": 50}, *[{"v2": 100}] * 2]
    assert {one[1] for one in seen} == {1}, "the Service is applied as before"
    assert f"Flux is paused for VirtualService {direct.namespace}/reviews" in result["lines"]
    assert f"Flux applies VirtualService {direct.namespace}/reviews again" in result["lines"]
    assert not [one for one in result["warnings"] if "Flux" in one]
    found = live(kube, direct.namespace)
    assert not marks(found)
    assert found["metadata"]["annotations"]["team"] == "reading"
    flux.reconcile()
    assert weights(live(kube, direct.namespace)) == {"v1": 100}, "Git still has the state of before"


def test_until_handback_a_promoted_service_stays_as_it_is(direct: Direct, kube: Kube, flux: KustomizeStandIn) -> None:
    result = direct("rollout", pause_gitops="until_handback", **PLAN)
    assert any("stay paused" in one and "meshops.canary.handback" in one for one in result["lines"])
    flux.reconcile()
    assert weights(live(kube, direct.namespace)) == {"v2": 100}
    assert "GITOPS_PAUSED" in {one["code"] for one in direct("info")["services"][0]["findings"]}
    back = direct("rollout", state="rolled_back", stable="v1", capacity=False, force=PLAN["force"])
    assert any("again" in one for one in back["messages"])
    assert not marks(live(kube, direct.namespace))


@pytest.mark.parametrize("again", ["rollout", "rollback"])
def test_a_killed_run_leaves_no_pause_behind(
    direct: Direct, kube: Kube, flux: KustomizeStandIn, monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    """It is killed after each of its writes of routing objects, and then the same runs again, or a rollback."""
    sent: list[str] = []
    send, limit = Transport.send, 0

    def dying(transport: Transport, method: str, *rest: t.Any, **more: t.Any) -> t.Any:
        answer = send(transport, method, *rest, **more)
        url = str(rest[0])
        sent.extend([url] if method == "PATCH" and "networking.istio.io" in url and "dryRun=All" not in url else [])
        if limit and len(sent) >= limit:
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(Transport, "send", dying)
    paused = False
    for at in (1, 3, 5) if again == "rollout" else (2, 4):
        limit = at
        sent.clear()
        with pytest.raises(KeyboardInterrupt):
            direct("rollout", pause_gitops="until_end", supersede=True, **PLAN)
        limit = 0
        paused |= bool(marks(live(kube, direct.namespace)))
        if kube.get(LEASES, "Lease", "canary-reviews", direct.namespace):  # its holder is this process, which lives
            kube.delete(LEASES, "Lease", "canary-reviews", direct.namespace)
        if again == "rollout":
            direct("rollout", pause_gitops="until_end", **PLAN)
            assert not marks(live(kube, direct.namespace)), at
        direct(
            "rollout", state="rolled_back", stable="v1", capacity=False, force=["REVERTED_BY_GITOPS", *PLAN["force"]]
        )
        assert not marks(live(kube, direct.namespace)), at
    assert paused, "some of the runs had paused it"
    flux.reconcile()
    assert flux.skipped == 0
    assert flux.applied == 6


def test_a_revert_is_drift_that_names_the_tool(direct: Direct, kube: Kube, flux: KustomizeStandIn) -> None:
    def show(module: str, _part: t.Mapping[str, t.Any]) -> None:
        if module == "canary_weight" and weights(live(kube, direct.namespace)) == {"v1": 90, "v2": 10}:
            flux.reconcile()

    direct.show = show
    stopped = direct("rollout", fails=True, **{**PLAN, "force": [*PLAN["force"], "REVERTED_BY_GITOPS"]})
    assert stopped["run"]["phase"] == "stopped"
    assert "was last written by Flux (field manager kustomize-controller) at " in stopped["msg"]
    assert weights(live(kube, direct.namespace)) == {"v1": 100}


def git(path: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=path, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(flux: KustomizeStandIn, tmp_path: Path) -> Path:
    """A Git checkout with the manifests of the stand-in, which reads them from there from now on."""
    path = tmp_path / "apps"
    path.mkdir()
    for manifest in flux.manifests:
        text = yaml.safe_dump(manifest, sort_keys=False).replace("weight: 100", "weight: 100  # all of them")
        (path / f"{manifest['kind'].lower()}.yaml").write_text(f"# from Git\n{text}")
    git(path, "init", "--quiet", "--initial-branch=main")
    for name, value in (("user.name", "ops"), ("user.email", "ops@example.com")):
        git(path, "config", name, value)
    git(path, "add", ".")
    git(path, "commit", "--quiet", "-m", "first")
    return path


def test_the_new_state_goes_to_git_and_the_objects_back_to_the_tool(
    direct: Direct, kube: Kube, play: Player, flux: KustomizeStandIn, checkout: Path
) -> None:
    direct("rollout", pause_gitops="until_handback", **PLAN)
    given = {"repository": str(checkout), "files": ["."]}
    early = direct("handback", state="released", fails=True, **given)
    assert "virtualservice.yaml" in early["msg"]
    assert "Merge the branch of the handback" in early["msg"]
    planned = direct("handback", branch="canary/reviews", check_mode=True, **given)
    assert (planned["changed"], planned["commit"], planned["files"]) == (True, "", ["virtualservice.yaml"])
    assert "-      weight: 0" in planned["diff"]["prepared"]
    assert git(checkout, "branch", "--list", "canary/*") == ""
    variables = {"ns": direct.namespace, "service": "reviews", "repository": str(checkout), "files": "."}
    done = play("meshops.canary.handback", "--diff", branch="canary/reviews", **variables).task("Hand the state back")
    assert done["commit"] == git(checkout, "rev-parse", "canary/reviews")
    assert git(checkout, "diff", "--name-only", "main", "canary/reviews") == "virtualservice.yaml"
    assert git(checkout, "status", "--porcelain", "--branch") == "## main"
    again = direct("handback", branch="canary/reviews", **given)
    assert (again["changed"], again["commit"]) == (False, "")
    git(checkout, "merge", "--quiet", "--ff-only", "canary/reviews")
    flux.manifests = [yaml.safe_load(one.read_text()) for one in sorted(checkout.glob("*.yaml"))]
    before = live(kube, direct.namespace)
    assert "meshops.canary" in owners_of_spec(before)
    assert play("meshops.canary.handback", released="true", **variables).changed == 1
    after = live(kube, direct.namespace)
    assert not marks(after)
    assert "meshops.canary" not in owners_of_spec(after)
    assert after["spec"] == before["spec"]
    flux.skipped = 0
    flux.reconcile()
    assert flux.skipped == 0
    assert weights(live(kube, direct.namespace)) == {"v2": 100}
    assert owners_of_spec(live(kube, direct.namespace)) == {"kustomize-controller"}
    assert not direct("handback", state="released", **given)["changed"]


def test_a_rollout_under_way_is_no_final_state(
    direct: Direct, kube: Kube, flux: KustomizeStandIn, checkout: Path
) -> None:
    def show(module: str, _part: t.Mapping[str, t.Any]) -> None:
        if module == "canary_weight":
            raise KeyboardInterrupt

    direct.show = show
    with pytest.raises(KeyboardInterrupt):
        direct("rollout", pause_gitops="until_end", **PLAN)
    direct.show = None
    for options in ({"branch": "canary/reviews"}, {"state": "released"}):
        message = direct("handback", fails=True, repository=str(checkout), files=["."], **options)["msg"]
        assert "is under way" in message
    assert flux.applied == 3
    assert marks(live(kube, direct.namespace))


def owners_of_spec(obj: Object) -> set[str]:
    return {one["manager"] for one in obj["metadata"]["managedFields"] if "f:spec" in one["fieldsV1"]}


def test_a_canary_by_pods_pauses_the_deployment_that_git_has(direct: Direct, kube: Kube, namespace: str) -> None:
    """Its pods fit no node, so the rollout fails at its first share and goes back; the tool is resumed then."""
    labels = {"app": "reviews", "track": "stable"}
    pod = {"nodeSelector": {"meshops.io/none": "such"}, "containers": [{"name": "reviews", "image": "a.invalid/r:1"}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 3, "selector": {"matchLabels": labels}, "template": template}
    stable = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "reviews"}, "spec": spec}
    flux = KustomizeStandIn(kube, namespace, service(), stable)
    flux.reconcile()
    options = {**PLAN, "stable": "reviews", "canary": "reviews-canary", "image": "a.invalid/r:2"}
    options |= {"route_api": "replicas", "capacity": True, "steps": [25], "deadline": 1, "force": PODS}
    result = direct("rollout", fails=True, pause_gitops="until_handback", **options)
    assert result["run"]["phase"] == "rolled_back", result["msg"]
    assert f"Flux is paused for Deployment {namespace}/reviews" in result["lines"]
    assert f"Flux applies Deployment {namespace}/reviews again" in result["lines"]
    found = kube.get("apps/v1", "Deployment", "reviews", namespace)
    assert found
    assert not marks(found)
    assert found["spec"]["replicas"] == 3


PODS = ["READINESS_PROBE_MISSING", "PRESTOP_MISSING", "GRACE_PERIOD_TOO_SHORT", "PRESTOP_TOO_SHORT"]
