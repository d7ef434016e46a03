# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""By table: how long a container serves after its pod is deleted, and which container is judged."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.findings import CATALOGUE
from ansible_collections.meshops.canary.plugins.module_utils.preflight import pod_shutdown
from support.deployments import deployment

if t.TYPE_CHECKING:
    from ansible_collections.meshops.canary.plugins.module_utils.findings import Finding

Object = dict[str, t.Any]
SHELL = ("sh", "-c")
SERVICE = {"spec": {"ports": [{"port": 80, "targetPort": "http"}, {"port": 9080}]}}


def sleep(seconds: int) -> Object:
    return {"sleep": {"seconds": seconds}}


def run(*command: str) -> Object:
    return {"exec": {"command": list(command)}}


def found(hook: Object | None, grace: int | None = None, *, front: Object | None = None) -> list[Finding]:
    """Return the findings of a container with this preStop. front: a second container."""
    made = copy.deepcopy(deployment("shop"))
    pod = made["spec"]["template"]["spec"]
    container = pod["containers"][0]
    if hook is not None:
        container["lifecycle"] = {"preStop": hook}
    if grace is not None:
        pod["terminationGracePeriodSeconds"] = grace
    if front:
        pod["containers"].append(front)
    return list(pod_shutdown.inspect(made, SERVICE, container))


@pytest.mark.parametrize(
    ("hook", "grace", "code", "reason"),
    [
        (None, None, "PRESTOP_MISSING", "has no preStop, so it terminates while"),
        ({}, None, "PRESTOP_MISSING", "has no preStop, so it terminates while"),
        (sleep(0), None, "PRESTOP_TOO_SHORT", "does not sleep in its preStop (0 s)"),
        ({"sleep": {}}, None, "PRESTOP_TOO_SHORT", "does not sleep in its preStop (0 s)"),
        ({"sleep": None}, None, "PRESTOP_TOO_SHORT", "does not sleep in its preStop (0 s)"),
        (run("sleep", "0"), None, "PRESTOP_TOO_SHORT", "does not sleep in its preStop (0 s)"),
        (run("true"), None, "PRESTOP_TOO_SHORT", "does not sleep in its preStop (0 s)"),
        (run(*SHELL, "exit 0"), None, "PRESTOP_TOO_SHORT", "does not sleep in its preStop (0 s)"),
        (run(*SHELL, ""), None, "PRESTOP_TOO_SHORT", "does not sleep in its preStop (0 s)"),
        (run(*SHELL, "echo bye; sleep 2"), None, "PRESTOP_TOO_SHORT", "sleeps only 2 s"),
        (run(*SHELL, "sleep 1 && sleep .5"), None, "PRESTOP_TOO_SHORT", "sleeps only 1.5 s"),
        (run("busybox", "sleep", "3"), None, "PRESTOP_TOO_SHORT", "sleeps only 3 s"),
        (sleep(1), None, "PRESTOP_TOO_SHORT", "sleeps only 1 s"),
        (sleep(4), None, "PRESTOP_TOO_SHORT", "sleeps only 4 s"),
        (sleep(4), 5, "PRESTOP_TOO_SHORT", "sleeps only 4 s"),
        (run("sleep", "1"), None, "PRESTOP_TOO_SHORT", "sleeps only 1 s"),
        (run("/bin/sleep", "4.5s"), None, "PRESTOP_TOO_SHORT", "sleeps only 4.5 s"),
        (run(*SHELL, "sleep 2"), None, "PRESTOP_TOO_SHORT", "sleeps only 2 s"),
        (run("/bin/bash", "-ec", " exec /usr/bin/sleep 2; "), None, "PRESTOP_TOO_SHORT", "sleeps only 2 s"),
        (
            sleep(5),
            3,
            "GRACE_PERIOD_TOO_SHORT",
            "5 s in its preStop, but terminationGracePeriodSeconds kills it after 3 s",
        ),
        (sleep(5), 5, "GRACE_PERIOD_TOO_SHORT", "after 5 s"),
        (sleep(5), 0, "GRACE_PERIOD_TOO_SHORT", "after 0 s"),
        (run("sleep", "30"), None, "GRACE_PERIOD_TOO_SHORT", "sleeps 30 s in its preStop, but"),
        (run(*SHELL, "sleep 1m"), 45, "GRACE_PERIOD_TOO_SHORT", "sleeps 60 s in its preStop, but"),
    ],
)
def test_a_container_that_ends_too_soon_is_found(hook: Object, grace: int | None, code: str, reason: str) -> None:
    (finding,) = found(hook, grace)
    assert (finding.code, finding.object) == (code, "Deployment books/shop")
    assert finding.reason.startswith("Container shop ")
    assert reason in finding.reason
    if code != "GRACE_PERIOD_TOO_SHORT":
        assert finding.reason.endswith("It must keep serving for 5 s or more."), "warnings do not show the remedy"


def test_a_sleep_can_be_too_short_and_longer_than_the_pod_lives() -> None:
    assert [one.code for one in found(sleep(2), 2)] == ["GRACE_PERIOD_TOO_SHORT", "PRESTOP_TOO_SHORT"]


@pytest.mark.parametrize(
    ("hook", "grace"),
    [
        (sleep(5), None),
        (sleep(5), 6),
        (sleep(29), None),
        (sleep(60), 61),
        (run("sleep", "5"), None),
        (run(*SHELL, "/bin/sleep 0.1m"), None),
        (run(*SHELL, "sleep 2; sleep 3"), None),
    ],
)
def test_a_container_that_sleeps_long_enough_is_fine(hook: Object, grace: int | None) -> None:
    assert found(hook, grace) == []


@pytest.mark.parametrize(
    "hook",
    [
        run("/app/drain"),
        run(*SHELL, "sleep 1; /app/drain"),
        run(*SHELL, "nginx -s quit && sleep 1"),
        run(*SHELL, "sleep $DRAIN"),
        run("sleep", "--help"),
        run("sleep", "infinity"),
        run(),
        {"httpGet": {"path": "/drain", "port": 80}},
    ],
)
def test_a_hook_whose_time_is_not_known_is_not_blamed(hook: Object) -> None:
    """It may wait for the last request, so nothing can be said against it."""
    assert pod_shutdown.prestop_seconds(hook) is None
    assert found(hook, 1) == []


@pytest.mark.parametrize(
    ("ports", "named"),
    [
        ([], ["shop"]),
        ([{"containerPort": 15090, "name": "metrics"}], ["shop"]),
        ([{"containerPort": 80}], ["shop"]),
        ([{"containerPort": 8080, "name": "http"}], ["shop", "front"]),
        ([{"containerPort": 9080}], ["shop", "front"]),
    ],
)
def test_of_two_containers_those_are_judged_that_get_the_image_or_serve(ports: list[Object], named: list[str]) -> None:
    front: Object = {"name": "front", "image": "nginx:1", "ports": ports}
    assert [one.reason.split()[1] for one in found(None, front=front)] == named
    assert [one.reason.split()[1] for one in found(sleep(5), front=front)] == named[1:]


def test_the_remedy_names_the_seconds_that_hold() -> None:
    for code in ("PRESTOP_MISSING", "PRESTOP_TOO_SHORT"):
        assert f"sleep: {{seconds: {pod_shutdown.MIN_PRESTOP_SECONDS}}} or more" in CATALOGUE[code].remedy
