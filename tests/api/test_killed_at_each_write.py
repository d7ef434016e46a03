# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rollback and a promotion at once that are killed at any of their writes: the same command again ends the same."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.kube.http import Transport
from support.direct import ISTIO
from support.rollout_tasks import ADA, LEASES, QUIET

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.kube import Kube

PLAN: dict[str, t.Any] = {"stable": "v1", "canary": "v2", "steps": [10, 50], "pause": 0, "analysis": False}
QUICK: dict[str, t.Any] = {"capacity": False, "retire_after": 0, "force": ["SUBSET_NOT_READY", "CAPACITY_BELOW_SHARE"]}
COMMANDS: dict[str, tuple[dict[str, t.Any], dict[str, int]]] = {
    "rollback": ({"state": "rolled_back", "stable": "v1", **QUICK}, {"v1": 100}),
    "promotion": ({"state": "promoted", "canary": "v2", **QUICK}, {"v2": 100}),
}


class Killed(BaseException):
    """The process ends here."""


class Killer:
    """Kills the task at one of its writes: before the request is sent, or before its answer is read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at, self.sent, self.writes = 0, False, 0
        send = Transport.send

        def dying(transport: Transport, method: str, *rest: t.Any, **more: t.Any) -> t.Any:
            if method == "GET":
                return send(transport, method, *rest, **more)
            self.writes += 1
            if self.writes == self.at and not self.sent:
                raise Killed
            answer = send(transport, method, *rest, **more)
            if self.writes == self.at:
                raise Killed
            return answer

        monkeypatch.setattr(Transport, "send", dying)

    def arm(self, at: int, *, sent: bool) -> None:
        self.at, self.sent, self.writes = at, sent, 0


def begin(direct: Direct) -> None:
    """Leave a rollout at 10 percent, as a playbook does that was killed."""
    last = direct("rollout", state="opened", holder=ADA, supersede=True, **PLAN)
    last = direct("rollout", state="recorded", event="ready", holder=ADA)
    direct("weight", weights=last["run"]["desired_weights"], **QUIET)
    direct("rollout", state="recorded", event="shifted", holder=ADA)
    direct("rollout", state="closed", holder=ADA)


@pytest.mark.parametrize("sent", [False, True], ids=["before the request", "after it"])
@pytest.mark.parametrize("name", COMMANDS)
def test_the_same_command_again_ends_the_same(
    direct: Direct, kube: Kube, routed: str, monkeypatch: pytest.MonkeyPatch, name: str, sent: bool
) -> None:
    options, weights = COMMANDS[name]
    killer, at = Killer(monkeypatch), 0
    while True:
        at += 1
        killer.arm(0, sent=sent)
        direct("weight", weights={"v1": 100}, **QUIET)
        if kube.get(LEASES, "Lease", "canary-reviews", routed):  # its holder is this process, which lives
            kube.delete(LEASES, "Lease", "canary-reviews", routed)
        if name == "rollback":  # a promotion at once is refused while a rollout is under way
            begin(direct)
        killer.arm(at, sent=sent)
        try:
            direct("rollout", **options)
            break  # it has fewer writes
        except Killed:
            killer.arm(0, sent=sent)
            direct("rollout", **options)
        found = kube.get(ISTIO, "VirtualService", "reviews", routed)
        assert found
        entries = found["spec"]["http"][-1]["route"]
        assert {one["destination"]["subset"]: one["weight"] for one in entries if one.get("weight")} == weights, at
        if name == "rollback":
            assert direct("rollout")["run"]["phase"] == "rolled_back", f"killed at write {at}"
    assert at > (3 if name == "rollback" else 1), "the writes are counted"
