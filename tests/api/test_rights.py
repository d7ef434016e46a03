# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each Role of docs/rights.md is sufficient and has no unused verb, and preflight names every missing verb."""

from __future__ import annotations

import secrets
import time
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.kube.http import Answer, Transport
from ansible_collections.meshops.canary.plugins.module_utils.writing.required_rights import NEEDS, ROLES, of_role
from support.direct import Direct, destination_rule, service, virtual_service
from support.finding_causes import autoscaled_without_request
from support.simulated_service import SimulatedService

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ansible_collections.meshops.canary.plugins.module_utils.kube.api_errors import Attempt
    from ansible_collections.meshops.canary.plugins.module_utils.writing.required_rights import Need
    from support.kube import Kube
    from support.lab import Lab
    from support.namespaces import Namespaces

RBAC = "rbac.authorization.k8s.io"
SHIFT = {"v1": 75, "v2": 25}
QUICK = {"wait": False}
HERE = [need for need in NEEDS if need.where == "service"]
# Verbs that a scenario does not use: only a container that has run has a log, no pod here has a proxy whose requests
# could be counted, and a VirtualService routes the service.
UNUSED = {"replicas": {"get pods/log"}, "rollout": {"get pods/proxy", "get httproutes", "get grpcroutes"}}


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
    """A user with only the Role `canary`. used, refused: the requests sent as this user."""

    def __init__(self, direct: Direct, simulated: SimulatedService) -> None:
        self.user = f"canary-{secrets.token_hex(3)}"
        self.used: set[str] = set()
        self.refused: set[tuple[str, str | None]] = set()
        self._direct, self._simulated = direct, simulated

    def may(self, needs: Iterable[Need]) -> None:
        subjects = [{"apiGroup": RBAC, "kind": "User", "name": self.user}]
        reference = {"apiGroup": RBAC, "kind": "Role", "name": "canary"}
        binding = {"apiVersion": f"{RBAC}/v1", "kind": "RoleBinding", "metadata": {"name": "canary"}}
        self._simulated.apply(role(needs), {**binding, "roleRef": reference, "subjects": subjects})

    def __call__(self, command: str, **options: t.Any) -> dict[str, t.Any]:
        return self._direct(command, impersonate_user=self.user, **options)

    def attempt(self, command: str, **options: t.Any) -> dict[str, t.Any]:
        return self._direct.attempt(command, impersonate_user=self.user, **options)

    def note(self, attempt: Attempt, status: int) -> None:
        extra = f"/{attempt.subresource}" if attempt.subresource else ""
        request = f"{attempt.verb} {attempt.resource.plural}{extra}"
        if status == 403:
            self.refused.add((request, attempt.namespace))
        elif attempt.resource.plural != "selfsubjectaccessreviews":
            self.used.add(request)


@pytest.fixture
def limited(direct: Direct, simulated: SimulatedService, monkeypatch: pytest.MonkeyPatch) -> Limited:
    user = Limited(direct, simulated)
    send = Transport.send

    def noted(self: Transport, method: str, url: str, attempt: Attempt, *rest: t.Any) -> Answer:
        answer = send(self, method, url, attempt, *rest)
        user.note(attempt, answer.status)
        return answer

    monkeypatch.setattr(Transport, "send", noted)
    return user


def look(user: Limited, _simulated: SimulatedService) -> None:
    (found,) = user("info", measure="none")["services"]
    assert [one for one in found["findings"] if one["code"] == "RIGHT_MISSING"] != []
    assert found["weights"] == {"v1": 100, "v2": 0}


def shift(user: Limited, _simulated: SimulatedService) -> None:
    (found,) = user("info", measure="none", proxies=False)["services"]
    assert [one for one in found["findings"] if one["code"] == "RIGHT_MISSING"] == []
    assert user("weight", weights=SHIFT, **QUICK)["changed"]
    assert user("header_route", name="testers", headers={"end-user": "ada"}, weights={"v2": 100}, **QUICK)["changed"]
    assert user("mirror", version="v2", percent=5, **QUICK)["changed"]
    assert user("sticky", max_age=60, **QUICK)["changed"]
    for command in ("sticky", "mirror", "weight"):
        assert user(command, state="absent", **QUICK)["changed"]


def route(user: Limited, simulated: SimulatedService) -> None:
    simulated.apply(service("ratings"))
    ratings = {"service": "ratings", "stable": "v1", **QUICK, "force": ["SUBSET_NOT_READY"]}
    assert user("routing", versions=["v1"], **ratings)["changed"]
    assert user("routing", versions=["v1", "v2"], **ratings)["changed"]
    assert user("weight", weights=SHIFT, **QUICK)["changed"]
    assert user("routing", state="absent", service="ratings", **QUICK)["changed"]


def roll_out(user: Limited, simulated: SimulatedService) -> None:
    autoscaled_without_request(simulated)
    none = user.attempt("capacity", version="v1", pods=2, wait_timeout=1)
    assert (none["error_code"], none["changed"]) == ("not_ready", True), "the Deployment's pods have no node"
    assert [one["kind"] for one in none["patch"]] == ["HorizontalPodAutoscaler", "Deployment"]
    assert user("capacity", state="released")["changed"]
    plan = {"stable": "v1", "canary": "v2", "steps": [25], "pause": 0, "analysis": False, "retire_after": 0}
    forced = {"capacity": False, "force": ["SUBSET_NOT_READY", "CAPACITY_BELOW_SHARE"]}
    done = user("rollout", state="promoted", **plan, **forced)
    assert done["run"]["phase"] == "promoted"
    assert not [one for one in done["warnings"] if "could not" in one], "what a rollout does is permitted"
    back = user("rollout", state="rolled_back", stable="v1", **forced)
    assert back["changed"]
    user("info", measure="none", proxies=False)


def stable_pods(simulated: SimulatedService) -> dict[str, t.Any]:
    """Create the Deployment reviews, whose pods fit no node; return the options of its canary."""
    labels = {"app": "reviews", "track": "stable"}
    pod = {"nodeSelector": {"meshops.io/none": "such"}, "containers": [{"name": "reviews", "image": "none:1"}]}
    spec = {"replicas": 3, "selector": {"matchLabels": labels}}
    template = {"metadata": {"labels": labels}, "spec": pod}
    stable = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "reviews"}}
    for one in ("reviews-v1-0", "reviews-v1-1", "reviews-v1-2", "reviews-v2-0"):
        simulated.kube.delete("v1", "Pod", one, simulated.namespace)
    simulated.apply({**stable, "spec": {**spec, "template": template}})
    return {"deployment": "reviews", "canary": "reviews-canary", "image": "none:2"}


def by_pods(user: Limited, simulated: SimulatedService) -> None:
    options = stable_pods(simulated)
    assert user("replicas", share=25, **options, **QUICK)["changed"]
    assert user("replicas", share=50, fails=True, wait_timeout=1, **options)["error_code"] == "rollout_failed"
    assert user("replicas", state="promoted", **options, **QUICK)["changed"]
    message = update_again(user, simulated, options)
    assert "reviews, which an earlier run had changed, was rolled back to its previous revision" in message


def update_again(user: Limited, simulated: SimulatedService, options: dict[str, t.Any]) -> str:
    """Return the message of a run that finds an update whose run was killed before it waited."""

    def both() -> bool:
        return len(simulated.kube.list("apps/v1", "ReplicaSet", simulated.namespace, selector="track=stable")) == 2

    simulated.kube.wait_until(both, 30, "the second revision")
    return str(user("replicas", state="updated", fails=True, wait_timeout=1, **options)["msg"])


SCENARIOS: dict[str, Callable[[Limited, SimulatedService], None]] = {
    "read": look,
    "shift": shift,
    "routing": route,
    "rollout": roll_out,
    "replicas": by_pods,
}


def test_every_role_has_a_scenario() -> None:
    assert set(SCENARIOS) == set(ROLES)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_documented_role_is_sufficient_and_has_no_unused_verb(
    simulated: SimulatedService, limited: Limited, name: str
) -> None:
    limited.may(of_role(name))
    SCENARIOS[name](limited, simulated)
    assert limited.used == {name_of(need) for need in of_role(name)} - UNUSED.get(name, set())
    rest = [need for need in NEEDS if name not in need.roles]
    more = {(name_of(need), simulated.namespace if need.where == "service" else None) for need in rest}
    assert {one for one in limited.refused if one[1] in (simulated.namespace, None)} <= more


@pytest.fixture(scope="module")
def named(lab: Lab, kube: Kube, namespaces: Namespaces) -> Iterator[tuple[Limited, SimulatedService]]:
    """A namespace and a user; each test grants the user all verbs but one."""
    namespace = namespaces.take()
    simulated = SimulatedService(kube, namespace, namespaces)
    simulated.apply(service(), destination_rule(), virtual_service())
    yield Limited(Direct(lab.kubeconfig, namespace), simulated), simulated
    namespaces.give_back(namespace)


@pytest.mark.parametrize("missing", HERE, ids=name_of)
def test_a_missing_verb_is_named(named: tuple[Limited, SimulatedService], missing: Need) -> None:
    user, simulated = named
    user.may(need for need in HERE if need is not missing)
    result = user.attempt("info", measure="none", proxies=False)
    if result.get("failed"):  # the service cannot be found at all
        assert missing.resource.plural in result["msg"]
        assert missing.verb in result["msg"]
        return
    code = "RIGHT_MISSING_OPTIONAL" if missing.optional else "RIGHT_MISSING"
    findings = [one for one in result["services"][0]["findings"] if one["code"] == code]
    gone = {one["object"]: one for one in findings if f"namespace {simulated.namespace}" in one["reason"]}
    target = missing.resource.qualified + (f"/{missing.subresource}" if missing.subresource else "")
    finding = gone[f"{missing.verb} {target}"]
    assert missing.what in finding["reason"]
    extra = f" --subresource={missing.subresource}" if missing.subresource else ""
    check = f"kubectl auth can-i {missing.verb} {missing.resource.qualified}{extra} -n {simulated.namespace}"
    assert check in finding["remedy"]
    assert set(gone) == {f"{missing.verb} {target}"}


@pytest.mark.parametrize("kind", ["Pod", "Deployment", "HorizontalPodAutoscaler"])
def test_kinds_that_may_not_be_read_are_reported_as_not_checked(
    named: tuple[Limited, SimulatedService], kind: str
) -> None:
    user, _simulated = named
    user.may(need for need in HERE if (need.verb, need.resource.kind) != ("list", kind))
    (found,) = user("info", measure="none", proxies=False)["services"]
    assert kind in {one["object"] for one in found["findings"] if one["code"] == "NOT_CHECKED"}


def test_all_missing_verbs_are_named_at_once(simulated: SimulatedService, limited: Limited) -> None:
    limited.may(of_role("read"))
    simulated.apply(service("ratings"))
    force = ["SUBSET_NOT_READY"]
    result = limited("routing", service="ratings", versions=["v1"], stable="v1", force=force, fails=True, **QUICK)
    missing = ["create destinationrules.networking.istio.io", "create virtualservices.networking.istio.io"]
    assert sorted(one["object"] for one in result["findings"]) == missing
    assert all(one in result["msg"] for one in missing)
    result = limited("weight", weights=SHIFT, fails=True, preflight=False, **QUICK)
    assert [one["object"] for one in result["findings"]] == ["patch virtualservices.networking.istio.io"]
    assert result["changed"] is False


def test_without_the_right_to_read_revisions_only_the_remedy_is_reported(
    simulated: SimulatedService, limited: Limited
) -> None:
    limited.may(need for need in of_role("replicas") if need.resource.plural != "replicasets")
    options = stable_pods(simulated)
    assert limited("replicas", state="updated", **options, **QUICK)["changed"]
    message = update_again(limited, simulated, options)
    assert "its pods have all been ready before" not in message
    assert "The rollback to the previous revision failed, reviews is unchanged: Listing" in message
    assert 'Grant the verb "list" on "replicasets" (API group "apps")' in message
    assert f"kubectl -n {simulated.namespace} rollout undo deployment/reviews" in message


def test_without_the_right_to_forward_ports_a_fixed_delay_is_waited_and_reported(
    simulated: SimulatedService, limited: Limited
) -> None:
    limited.may(of_role("shift"))
    began = time.monotonic()
    convergence = limited("weight", weights=SHIFT, settle_seconds=2)["convergence"]
    assert time.monotonic() - began >= 2
    assert (convergence["method"], convergence["converged"]) == ("fixed_delay", None)
    assert "portforward" in convergence["note"]
