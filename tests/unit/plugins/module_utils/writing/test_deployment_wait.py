# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When waiting for a rollout ends before its deadline, and what it says meanwhile. Real pods: extensions/molecule."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError
from ansible_collections.meshops.canary.plugins.module_utils.writing import deployment_wait
from ansible_collections.meshops.canary.plugins.module_utils.writing.deployment_wait import DeploymentWait
from support.deployments import deployment, owned_pod

Object = dict[str, t.Any]


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Api:
    """Answers with the Deployment shop in an unfinished rollout, and its one pod that waits for `reason`."""

    def __init__(self, reason: str, restarts: int = 0) -> None:
        state = {"name": "shop", "restartCount": restarts, "state": {"waiting": {"reason": reason}}}
        self.pod = owned_pod("shop", "7d", "aaaaa", ready=False)
        self.pod["spec"] = {"containers": deployment("shop")["spec"]["template"]["spec"]["containers"]}
        self.pod["status"]["containerStatuses"] = [state]
        self.broken: list[ApiError] = []

    def get(self, *_given: t.Any) -> Object:
        if self.broken:
            raise self.broken.pop()
        return {**deployment("shop"), "status": {"observedGeneration": 4, "replicas": 4, "updatedReplicas": 1}}

    def list(self, *_given: t.Any, **_more: t.Any) -> list[Object]:
        return [self.pod]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(deployment_wait, "time", made)
    return made


@pytest.mark.parametrize(
    ("api", "least", "most"),
    [
        (Api("InvalidImageName"), 0, 5),
        (Api("ImagePullBackOff"), 45, 55),
        (Api("CrashLoopBackOff", restarts=3), 0, 5),
        (Api("CrashLoopBackOff", restarts=1), 300, 301),
        (Api("ContainerCreating"), 300, 301),
    ],
)
def test_what_is_hopeless_does_not_take_the_whole_deadline(clock: Clock, api: Api, least: float, most: float) -> None:
    said: list[str] = []
    assert DeploymentWait(t.cast("t.Any", api), "books", said.append).wait("shop", 300) is False
    assert least <= clock.now <= most
    assert set(said) == {"shop: 1 of 3 pods updated, 0 available, 3 old ones to end"}
    assert len(said) <= 1 + most / deployment_wait.LOG_EVERY, "the same progress is said now and then"


def test_a_paused_deployment_is_not_waited_for_and_the_log_of_an_init_container_is_shown(clock: Clock) -> None:
    class Paused(Api):
        def get(self, *given: t.Any) -> Object:
            found = super().get(*given)
            return {**found, "spec": {**found["spec"], "paused": True}}

        def pod_log(self, namespace: str, pod: str, container: str, **_more: t.Any) -> str:
            return f"{namespace}/{pod}/{container} has no database\n"

    api = Paused("PodInitializing")
    ended = {"exitCode": 1, "reason": "Error"}
    migrate = {"name": "migrate", "containerID": "c1", "state": {"terminated": ended}}
    api.pod["status"]["initContainerStatuses"] = [migrate]
    deployments = DeploymentWait(t.cast("t.Any", api), "books", print)
    assert deployments.wait("shop", 300) is False
    assert clock.now == 0
    problems = deployments.problems("shop")
    assert problems[0].startswith("Deployment shop is paused")
    assert "init container migrate: restarted 0 times, its last run ended with exit code 1 (Error)" in problems[1]
    assert problems[2].endswith("container migrate: books/shop-7d-aaaaa/migrate has no database")


def test_an_api_server_that_does_not_answer_for_a_while_is_asked_again(clock: Clock) -> None:
    api = Api("InvalidImageName")
    api.broken = [ApiError("No answer.", None), ApiError("Overloaded.", 503)]
    said: list[str] = []
    assert DeploymentWait(t.cast("t.Any", api), "books", said.append).wait("shop", 300) is False
    assert said[0] == "cannot be read now, trying again: Overloaded."
    assert len(said) == 3, "both failures and the progress after them"


def test_a_right_that_is_missing_is_not_waited_for(clock: Clock) -> None:
    api = Api("ContainerCreating")
    api.broken = [ApiError("Forbidden.", 403)]
    with pytest.raises(ApiError, match="Forbidden"):
        DeploymentWait(t.cast("t.Any", api), "books", print).wait("shop", 300)
    assert clock.now == 0
    api.broken = [ApiError("Forbidden.", 403)]
    assert DeploymentWait(t.cast("t.Any", api), "books", print).problems("shop") == [
        "the reason is not known: Forbidden."
    ]


@pytest.mark.parametrize("wait", [lambda waiting: waiting.wait("shop", 2), lambda waiting: waiting.wait_gone({}, 2)])
def test_a_read_that_fails_until_the_deadline_is_never_an_answer(
    clock: Clock, wait: t.Callable[[DeploymentWait], t.Any]
) -> None:
    """Also where the deadline passes between two looks at the clock, as on a busy machine."""

    class Refusing(Api):
        def get(self, *_given: t.Any) -> Object:
            raise ApiError("Overloaded.", 503)

        def list(self, *_given: t.Any, **_more: t.Any) -> list[Object]:
            raise ApiError("Overloaded.", 503)

    def log(_line: str) -> None:
        clock.now = 2.0

    with pytest.raises(ApiError, match="Overloaded"):
        wait(DeploymentWait(t.cast("t.Any", Refusing("ContainerCreating")), "books", log))
