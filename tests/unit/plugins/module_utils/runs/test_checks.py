# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a rollout refuses before its record exists."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.commands.rollout import SPEC
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput, Refused
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.rollout.steps import Rollout, Step
from ansible_collections.meshops.canary.plugins.module_utils.runs import checks

SERVICE = ServiceRef("reviews", "shop")
V1 = {"version": "v1", "deployments": ["reviews-v1"]}
BASE = {"version": "base", "deployments": ["reviews-base"]}


class Cluster:
    """Deployments with one container each. images: by name."""

    def __init__(self, images: dict[str, str]) -> None:
        self.images = images

    def get(self, _resource: t.Any, _namespace: str, name: str) -> dict[str, t.Any] | None:
        containers = [{"name": "app", "image": self.images[name]}]
        return {"spec": {"template": {"spec": {"containers": containers}}}} if name in self.images else None


def check_baseline(versions: list[dict[str, t.Any]], images: dict[str, str]) -> None:
    checks.check_baseline(t.cast("t.Any", Cluster(images)), SERVICE, versions, "v1", "base")


@pytest.mark.parametrize(("given", "pods"), [(None, None), ("", None), ("0", 0), (0, 0), ("12", 12)])
def test_old_replicas_are_a_number_or_not_set(given: t.Any, pods: int | None) -> None:
    assert checks.number_of_pods(given) == pods


@pytest.mark.parametrize("given", ["-1", "1.5", "half", "1\n"])
def test_anything_else_is_refused(given: str) -> None:
    with pytest.raises(InvalidInput, match="old_replicas must be a number of pods"):
        checks.number_of_pods(given)


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({}, None),
        ({"labels": {"track": "canary"}}, "labels"),
        ({"max_error": 5.0}, "max_error"),
        ({"route_api": "replicas", "labels": {"track": "canary"}, "max_error": 5.0}, None),
    ],
)
def test_options_of_canaries_by_pods_need_them(given: dict[str, t.Any], option: str | None) -> None:
    params = {"route_api": "auto", "labels": {}, "max_error": 100.0, **given}
    if option is None:
        checks.check_pod_options(params)
        return
    with pytest.raises(InvalidInput, match=f"{option} needs route_api: replicas"):
        checks.check_pod_options(params)


@pytest.mark.parametrize(
    ("old", "pods", "reason"),
    [
        (V1, 0, None),
        ({**V1, "hpa": {"name": "reviews-v1"}}, 1, None),
        ({**V1, "cohorts": {"testers": 100}}, None, None),
        ({**V1, "hpa": {"name": "reviews-v1"}}, 0, "An autoscaler owns the pods of v1"),
        ({**V1, "cohorts": {"testers": 100}}, 0, "A cohort is still routed to v1"),
    ],
)
def test_no_old_pods_are_possible_without_an_autoscaler_and_a_cohort(
    old: dict[str, t.Any], pods: int | None, reason: str | None
) -> None:
    if reason is None:
        checks.check_old_replicas([old], "v1", pods)
        return
    with pytest.raises(Refused, match=reason):
        checks.check_old_replicas([old], "v1", pods)


def test_a_baseline_has_one_deployment_with_the_image_of_stable() -> None:
    same = {"reviews-v1": "reviews:1", "reviews-base": "reviews:1"}
    check_baseline([V1, BASE], same)
    with pytest.raises(Refused, match=r"base runs reviews:2 and v1 runs reviews:1, .* Deployment reviews-base"):
        check_baseline([V1, BASE], {**same, "reviews-base": "reviews:2"})


@pytest.mark.parametrize(
    ("base", "reason"),
    [
        ({}, "has 0 Deployments"),
        ({**BASE, "deployments": ["one", "two"]}, "has 2 Deployments"),
        ({**BASE, "hpa": {"name": "base"}}, "has 1 Deployments that its subset selects, and an autoscaler"),
    ],
)
def test_a_baseline_without_one_deployment_of_its_own_is_refused(base: dict[str, t.Any], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        check_baseline([V1, base], {})


def test_a_version_is_found_by_its_name() -> None:
    assert checks.version([V1, BASE], "base") == BASE
    assert checks.version([V1, BASE], "v9") == {}


class Reviewed:
    """An API server that answers what the account may. questions: how many it was asked."""

    def __init__(self, *, allowed: bool) -> None:
        self.allowed, self.questions = allowed, 0

    def access_review(self, *_question: str, **_more: str) -> bool:
        self.questions += 1
        return self.allowed


@pytest.mark.parametrize(
    ("analysis", "prometheus", "questions"), [(True, None, 1), (True, "http://prometheus", 0), (False, None, 0)]
)
def test_the_right_to_judge_is_asked_for_before_anything_is_written(
    analysis: bool, prometheus: str | None, questions: int
) -> None:
    rollout = Rollout("reviews", "shop", "v1", "v2", (Step(100.0, analysis=analysis),))
    params = {**SPEC.defaults(), "service": "reviews", "namespace": "shop", "prometheus_url": prometheus}
    may = Reviewed(allowed=True)
    checks.check_rights(t.cast("t.Any", may), SERVICE, rollout, params)
    assert may.questions == questions
    may_not = t.cast("t.Any", Reviewed(allowed=False))
    if questions:
        with pytest.raises(Refused, match=r"no right to get pods/proxy in shop.*Nothing was written"):
            checks.check_rights(may_not, SERVICE, rollout, params)
    else:
        checks.check_rights(may_not, SERVICE, rollout, params)


API = ServiceRef("api.example.com", "shop")
OUTSIDE: dict[str, t.Any] = {"capacity": False, "approval": "annotation"}
MANUAL = (Step(weight=50.0, gate="manual"), Step(weight=100.0))


@pytest.mark.parametrize(
    ("service", "canary", "given", "refused"),
    [
        pytest.param(API, "web-new", {}, "", id="fits"),
        pytest.param(API, "new.example.com", {"capacity": True}, "cannot be scaled", id="capacity-of-a-host"),
        pytest.param(SERVICE, "new.example.com", {"capacity": True}, "cannot be scaled", id="capacity-of-a-version"),
        pytest.param(SERVICE, "v2", {"capacity": True}, "", id="capacity-inside"),
        pytest.param(API, "web-new", {"steps": MANUAL}, "answered by an annotation", id="gate"),
        pytest.param(API, "web-new", {"steps": MANUAL, "approval": "terminal"}, "", id="gate-at-a-terminal"),
        pytest.param(SERVICE, "v2", {"steps": MANUAL}, "", id="gate-of-a-service"),
        pytest.param(API, "web-new", {"by_pods": True}, "cannot be the ratio of pods", id="by-pods"),
    ],
)
def test_what_a_host_outside_does_not_have_is_refused(
    service: ServiceRef, canary: str, given: dict[str, t.Any], refused: str
) -> None:
    steps = given.get("steps", (Step(weight=100.0),))
    image = {"image": "web:2", "container": "web"} if given.get("by_pods") else {}
    rollout = Rollout(service.name, service.namespace, stable="v1", canary=canary, steps=steps, **image)
    params = {**OUTSIDE, **{key: value for key, value in given.items() if key in OUTSIDE}}
    if not refused:
        checks.check_outside(service, rollout, params)
        assert not rollout.by_pods
        return
    with pytest.raises(InvalidInput, match=refused):
        checks.check_outside(service, rollout, params)
