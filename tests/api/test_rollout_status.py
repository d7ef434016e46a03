# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What canary_info says of a rollout: where it stands, who holds it, what was edited, and what to do."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.rollout import checksum

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.kube import Kube
    from support.play import Player

ADA = "ada@ops1/1"
PLAN: dict[str, t.Any] = {
    "stable": "v1",
    "canary": "v2",
    "steps": [10, {"weight": 100, "gate": "manual"}],
    "holder": ADA,
}


def seen(direct: Direct) -> dict[str, t.Any] | None:
    (service,) = direct("info", measure="none", proxies=False, preflight=False)["services"]
    assert service["notes"] == []
    return t.cast("dict[str, t.Any] | None", service["rollout"])


def record(direct: Direct, *events: str) -> None:
    for event in events:
        result = direct("rollout", state="recorded", event=event, holder=ADA)
        if event == "ready":
            direct("weight", weights=result["run"]["desired_weights"], preflight=False, wait=False)


def test_the_status_follows_a_rollout_to_its_gate_and_its_end(direct: Direct, routed: str) -> None:
    assert seen(direct) is None
    direct("rollout", state="opened", **PLAN)
    begun = seen(direct)
    assert begun
    assert (begun["phase"], begun["step"], begun["steps"], begun["weight"]) == ("preparing", 1, 2, 10.0)
    assert (begun["holder"], begun["next"], begun["drift"]) == (ADA, [], "")
    assert 0 < begun["seconds_left"] <= 600
    record(direct, "ready", "shifted", "pass", "ready", "shifted", "pass")
    gated = seen(direct)
    assert gated
    assert gated["phase"] == "gated"
    ticket = direct("rollout")["run"]["ticket"]
    assert ticket.startswith(f"{gated['id']}-2-")
    assert [command.rpartition("canary.meshops.io/")[2] for command in gated["next"]] == [
        f"approve={ticket}",
        f"reject={ticket}",
    ]
    record(direct, "approved", "done")
    over = seen(direct)
    assert over
    assert (over["phase"], over["over"], over["next"]) == ("promoted", True, [])


def test_the_status_of_an_abandoned_run_shows_drift_and_commands(direct: Direct, routed: str, play: Player) -> None:
    direct("rollout", state="opened", **PLAN)
    record(direct, "ready", "shifted")
    direct("rollout", state="closed", holder=ADA)
    direct("weight", weights={"v1": 70, "v2": 30}, preflight=False, wait=False)
    left = seen(direct)
    assert left
    assert left["holder"] == ""
    assert "v1 90% -> 70%, v2 10% -> 30%" in left["drift"]
    _nobody, restore, adopt, back = left["next"]
    assert f"meshops.canary.rollout -e service=reviews -e ns={routed} -e stable=v1 -e canary=v2 -e " in restore
    assert restore.endswith(" -e rollout_on_drift=restore")
    assert adopt.endswith(" -e rollout_on_drift=adopt")
    assert back.endswith(f"meshops.canary.rollback -e service=reviews -e ns={routed} -e stable=v1")
    shown = play("meshops.canary.status", ns=routed, service="reviews").task("Display the status")["msg"]
    assert [f"    next:   {command}" for command in left["next"]] == [line for line in shown if "    next:   " in line]
    assert any(line.startswith("rollout v1 -> v2: observing, step 1 of 2 (10%)") for line in shown)


@pytest.mark.parametrize(
    ("part", "edit", "said"),
    [
        ("events", lambda events: events[:-1], "entries are missing at the end"),
        ("plan", lambda plan: {**plan, "adapt": True}, "plan: it does not match plan_hash"),
        ("run", lambda run: {**run, "reason": "all was well"}, "phase, reason or events"),
    ],
)
def test_a_tampered_record_is_named_and_an_untouched_one_verified(
    direct: Direct, routed: str, kube: Kube, part: str, edit: t.Callable[[t.Any], t.Any], said: str
) -> None:
    direct("rollout", state="opened", **PLAN)
    record(direct, "ready", "shifted")
    before = direct("rollout", state="present")["report"]
    assert (before["verified"], before["tampered"], checksum.tampered(before)) == (True, [], [])
    stored = kube.get("v1", "ConfigMap", "canary-rollout-reviews", routed)
    assert stored
    edited = json.dumps(edit(json.loads(stored["data"][part])))
    kube.patch("v1", "ConfigMap", "canary-rollout-reviews", routed, {"data": {part: edited}})
    after = direct("rollout", state="present")["report"]
    assert after["verified"] is False
    assert said in " ".join(after["tampered"])
