# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each Role of docs/rights.md suffices, nothing in it is idle, and without any of its verbs preflight names it."""

from __future__ import annotations

import secrets
import time
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.cluster_http import Transport
from ansible_collections.meshops.canary.plugins.module_utils.commands.needs import NEEDS, ROLES, of_role
from support.direct import Direct, destination_rule, service, virtual_service
from support.scene import Scene
from support.stages import autoscaled_without_request

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ansible_collections.meshops.canary.plugins.module_utils.cluster_errors import Attempt
    from ansible_collections.meshops.canary.plugins.module_utils.commands.needs import Need
    from support.kube import Kube
    from support.lab import Lab

RBAC = "rbac.authorization.k8s.io"
SHIFT = {"v1": 75, "v2": 25}
QUICK = {"wait": False}
HERE = [need for need in NEEDS if need.where == "service"]
# What a role's story does not ask: only a container that has run has a log.
NOT_TOLD = {"replicas": {"get pods/log"}}


def name_of(need: Need) -> str:
    return f"{need.verb} {need.name}"


def role(needs: Iterable[Need]) -> dict[str, t.Any]:
    """Return a Role with exactly these verbs."""
    rules = [
        {"apiGroups": [need.resource.group], "resources": [need.name], "verbs": [need.verb]}
        for need in needs
        if need.where == "service"
    ]
    return {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": {"name": "canary"}, "rules": rules}


class Limited:
    """A user who has nothing but the Role `canary`, and what was asked in his name."""

    def __init__(self, direct: Direct, scene: Scene) -> None:
        self.user = f"canary-{scene.namespace}"
        self.asked: set[str] = set()
        self.refused: set[tuple[str, str | None]] = set()
        self._direct, self._scene = direct, scene

    def may(self, needs: Iterable[Need]) -> None:
        subjects = [{"apiGroup": RBAC, "kind": "User", "name": self.user}]
        reference = {"apiGroup": RBAC, "kind": "Role", "name": "canary"}
        binding = {"apiVersion": f"{RBAC}/v1", "kind": "RoleBinding", "metadata": {"name": "canary"}}
        self._scene.apply(role(needs), {**binding, "roleRef": reference, "subjects": subjects})

    def __call__(self, command: str, **options: t.Any) -> dict[str, t.Any]:
        return self._direct(command, impersonate_user=self.user, **options)

    def attempt(self, command: str, **options: t.Any) -> dict[str, t.Any]:
        return self._direct.attempt(command, impersonate_user=self.user, **options)

    def note(self, attempt: Attempt, status: int) -> None:
        extra = f"/{attempt.subresource}" if attempt.subresource else ""
        asked = f"{attempt.verb} {attempt.resource.plural}{extra}"
        if status == 403:
            self.refused.add((asked, attempt.namespace))
        elif attempt.resource.plural != "selfsubjectaccessreviews":
            self.asked.add(asked)


@pytest.fixture
def limited(direct: Direct, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Limited:
    user = Limited(direct, scene)
    send = Transport.send

    def noted(self: Transport, method: str, url: str, attempt: Attempt, *rest: t.Any) -> tuple[int, bytes]:
        status, body = send(self, method, url, attempt, *rest)
        user.note(attempt, status)
        return status, body

    monkeypatch.setattr(Transport, "send", noted)
    return user


def look(user: Limited, _scene: Scene) -> None:
    (told,) = user("info", measure="none")["services"]
    assert [one for one in told["findings"] if one["code"] == "RIGHT_MISSING"] != []
    assert told["weights"] == {"v1": 100, "v2": 0}


def shift(user: Limited, _scene: Scene) -> None:
    (told,) = user("info", measure="none", proxies=False)["services"]
    assert [one for one in told["findings"] if one["code"] == "RIGHT_MISSING"] == []
    assert user("weight", weights=SHIFT, **QUICK)["changed"]
    assert user("header_route", name="testers", headers={"end-user": "ada"}, weights={"v2": 100}, **QUICK)["changed"]
    assert user("mirror", version="v2", percent=5, **QUICK)["changed"]
    assert user("sticky", max_age=60, **QUICK)["changed"]
    for command in ("sticky", "mirror", "weight"):
        assert user(command, state="absent", **QUICK)["changed"]


def route(user: Limited, scene: Scene) -> None:
    scene.apply(service("ratings"))
    ratings = {"service": "ratings", "stable": "v1", **QUICK, "force": ["SUBSET_NOT_READY"]}
    assert user("routing", versions=["v1"], **ratings)["changed"]
    assert user("routing", versions=["v1", "v2"], **ratings)["changed"]
    assert user("weight", weights=SHIFT, **QUICK)["changed"]
    assert user("routing", state="absent", service="ratings", **QUICK)["changed"]


def roll_out(user: Limited, scene: Scene) -> None:
    autoscaled_without_request(scene)
    none = user.attempt("capacity", version="v1", pods=2, wait_timeout=1)
    assert (none["error_code"], none["changed"]) == ("not_ready", True), "the Deployment's pods have no node"
    assert [one["kind"] for one in none["patch"]] == ["HorizontalPodAutoscaler", "Deployment"]
    assert user("capacity", state="released")["changed"]
    plan = {"stable": "v1", "canary": "v2", "steps": [25, 100], "holder": "ada@ops/1"}
    assert user("rollout", state="opened", **plan)["changed"]
    user("rollout", state="recorded", event="ready", holder=plan["holder"])
    user("weight", weights=SHIFT, **QUICK)
    user("rollout", state="recorded", event="shifted", holder=plan["holder"])
    user("info", measure="none", proxies=False)
    assert user("rollout", state="closed", holder=plan["holder"])["changed"]


def stable_pods(scene: Scene) -> dict[str, t.Any]:
    """Let the Deployment reviews serve, whose pods fit no node, and return how its canary is asked for."""
    labels = {"app": "reviews", "track": "stable"}
    pod = {"nodeSelector": {"meshops.io/none": "such"}, "containers": [{"name": "reviews", "image": "none:1"}]}
    spec = {"replicas": 3, "selector": {"matchLabels": labels}}
    template = {"metadata": {"labels": labels}, "spec": pod}
    stable = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "reviews"}}
    for one in ("reviews-v1-0", "reviews-v1-1", "reviews-v1-2", "reviews-v2-0"):
        scene.kube.delete("v1", "Pod", one, scene.namespace)
    scene.apply({**stable, "spec": {**spec, "template": template}})
    return {"deployment": "reviews", "canary": "reviews-canary", "image": "none:2"}


def by_pods(user: Limited, scene: Scene) -> None:
    asked = stable_pods(scene)
    assert user("replicas", share=25, **asked, **QUICK)["changed"]
    assert user("replicas", share=50, fails=True, wait_timeout=1, **asked)["error_code"] == "rollout_failed"
    assert user("replicas", state="promoted", **asked, **QUICK)["changed"]
    told = update_again(user, scene, asked)
    assert "An earlier run had changed reviews; it was put back to the revision before" in told


def update_again(user: Limited, scene: Scene, asked: dict[str, t.Any]) -> str:
    """Return what a run says that finds an update as one leaves it that is killed before it waits."""

    def both() -> bool:
        return len(scene.kube.list("apps/v1", "ReplicaSet", scene.namespace, selector="track=stable")) == 2

    scene.kube.wait_until(both, 30, "the second revision")
    return str(user("replicas", state="updated", fails=True, wait_timeout=1, **asked)["msg"])


STORIES: dict[str, Callable[[Limited, Scene], None]] = {
    "read": look,
    "shift": shift,
    "routing": route,
    "rollout": roll_out,
    "replicas": by_pods,
}


def test_there_is_a_story_for_every_role() -> None:
    assert set(STORIES) == set(ROLES)


@pytest.mark.parametrize("name", STORIES)
def test_the_documented_role_suffices_and_nothing_in_it_is_idle(scene: Scene, limited: Limited, name: str) -> None:
    limited.may(of_role(name))
    STORIES[name](limited, scene)
    assert limited.asked == {name_of(need) for need in of_role(name)} - NOT_TOLD.get(name, set())
    rest = [need for need in NEEDS if name not in need.roles]
    more = {(name_of(need), scene.namespace if need.where == "service" else None) for need in rest}
    assert {one for one in limited.refused if one[1] in (scene.namespace, None)} <= more


@pytest.fixture(scope="module")
def named(lab: Lab, kube: Kube) -> Iterator[tuple[Limited, Scene]]:
    """A namespace and a user for all verbs; each test gives him all of them but one."""
    namespace = f"rights-{secrets.token_hex(3)}"
    kube.create_namespace(namespace, labels={"istio-injection": "enabled"})
    scene = Scene(kube, namespace, namespace)
    scene.apply(service(), destination_rule(), virtual_service())
    yield Limited(Direct(lab.kubeconfig, namespace), scene), scene
    kube.delete_namespace(namespace)


@pytest.mark.parametrize("missing", HERE, ids=name_of)
def test_a_missing_verb_is_named(named: tuple[Limited, Scene], missing: Need) -> None:
    user, scene = named
    user.may(need for need in HERE if need is not missing)
    result = user.attempt("info", measure="none", proxies=False)
    if result.get("failed"):  # the service cannot be found at all
        assert missing.resource.plural in result["msg"]
        assert missing.verb in result["msg"]
        return
    code = "RIGHT_MISSING_OPTIONAL" if missing.optional else "RIGHT_MISSING"
    findings = [one for one in result["services"][0]["findings"] if one["code"] == code]
    gone = {one["object"]: one for one in findings if f"namespace {scene.namespace}" in one["reason"]}
    target = missing.resource.qualified + (f"/{missing.subresource}" if missing.subresource else "")
    told = gone[f"{missing.verb} {target}"]
    assert missing.what in told["reason"]
    extra = f" --subresource={missing.subresource}" if missing.subresource else ""
    check = f"kubectl auth can-i {missing.verb} {missing.resource.qualified}{extra} -n {scene.namespace}"
    assert check in told["remedy"]
    assert set(gone) == {f"{missing.verb} {target}"}


@pytest.mark.parametrize("kind", ["Pod", "Deployment", "HorizontalPodAutoscaler"])
def test_what_may_not_be_read_is_said_to_be_unchecked(named: tuple[Limited, Scene], kind: str) -> None:
    user, _scene = named
    user.may(need for need in HERE if (need.verb, need.resource.kind) != ("list", kind))
    (told,) = user("info", measure="none", proxies=False)["services"]
    assert kind in {one["object"] for one in told["findings"] if one["code"] == "NOT_CHECKED"}


def test_who_is_refused_hears_of_every_verb_at_once(scene: Scene, limited: Limited) -> None:
    limited.may(of_role("read"))
    scene.apply(service("ratings"))
    force = ["SUBSET_NOT_READY"]
    result = limited("routing", service="ratings", versions=["v1"], stable="v1", force=force, fails=True, **QUICK)
    missing = ["create destinationrules.networking.istio.io", "create virtualservices.networking.istio.io"]
    assert sorted(one["object"] for one in result["findings"]) == missing
    assert all(one in result["msg"] for one in missing)
    result = limited("weight", weights=SHIFT, fails=True, preflight=False, **QUICK)
    assert [one["object"] for one in result["findings"]] == ["patch virtualservices.networking.istio.io"]
    assert result["changed"] is False


def test_without_the_right_to_read_revisions_nothing_is_said_of_them_but_what_to_do(
    scene: Scene, limited: Limited
) -> None:
    limited.may(need for need in of_role("replicas") if need.resource.plural != "replicasets")
    asked = stable_pods(scene)
    assert limited("replicas", state="updated", **asked, **QUICK)["changed"]
    told = update_again(limited, scene, asked)
    assert "its pods were all ready once" not in told
    assert "Going back to the revision before failed, reviews stays as it is: Listing" in told
    assert 'Grant the verb "list" on "replicasets" (API group "apps")' in told
    assert f"kubectl -n {scene.namespace} rollout undo deployment/reviews" in told


def test_without_the_right_to_forward_ports_the_settle_time_is_waited_and_said(scene: Scene, limited: Limited) -> None:
    limited.may(of_role("shift"))
    began = time.monotonic()
    told = limited("weight", weights=SHIFT, wait_settle=2)["convergence"]
    assert time.monotonic() - began >= 2
    assert (told["method"], told["converged"]) == ("settle", None)
    assert "portforward" in told["note"]
