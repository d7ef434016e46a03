# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The next commands of a rollout, and an unreadable record. The rest is in tests/api."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.rollout.record import Run
from ansible_collections.meshops.canary.plugins.module_utils.rollout.steps import Rollout, steps_from
from ansible_collections.meshops.canary.plugins.module_utils.runs import status as run_status
from ansible_collections.meshops.canary.plugins.module_utils.runs.record_store import plan_of

SERVICE = ServiceRef("reviews", "shop")


class Cluster:
    """Answers every GET with one object, or an error."""

    server_time = None

    def __init__(self, answer: dict[str, t.Any] | ApiError | None) -> None:
        self._answer = answer

    def get(self, *_path: t.Any) -> dict[str, t.Any] | None:
        if isinstance(self._answer, ApiError):
            raise self._answer
        return self._answer


def noted(answer: dict[str, t.Any] | ApiError | None) -> list[str]:
    notes: list[str] = []
    assert run_status.status(t.cast(t.Any, Cluster(answer)), SERVICE, {"v1": 100.0}, {}, notes) is None
    return notes


def test_without_a_record_there_is_no_note() -> None:
    assert noted(None) == []


def test_a_missing_right_adds_a_note() -> None:
    (note,) = noted(ApiError("no right to get configmaps", 403, reason="Forbidden"))
    assert note == "The status of the rollout is unknown: no right to get configmaps"


def test_an_unreadable_record_adds_a_note() -> None:
    (note,) = noted({"data": {"run": "<html>", "plan": "{}", "events": "[]"}})
    assert "ConfigMap shop/canary-rollout-reviews has the record" in note


PLAY = "ansible-playbook meshops.canary"
WHERE = "-e service=reviews -e ns=shop -e stable=v1"
STEPS = [10, {"weight": 50, "gate": "manual"}, 100]
PLAN = json.dumps(
    {"steps": [{"weight": 10, "gate": "none"}, STEPS[1], {"weight": 100, "gate": "none"}], "rollout_pause": 5}
)
RESUME = f"{PLAY}.rollout {WHERE} -e canary=v2 -e '{PLAN}'"
ROLL_BACK = f"to roll back: {PLAY}.rollback {WHERE}"
CONTINUE = f"to continue: {RESUME}"
NO_HOLDER = "no run holds the lock; the record has no metrics and hooks, so add those of the first run"
RESTORE = f"to restore the rollout's weights and continue: {RESUME} -e rollout_on_drift=restore"
ADOPT = f"to keep the external change and continue from it: {RESUME} -e rollout_on_drift=adopt"
ANNOTATE = "kubectl -n shop annotate --overwrite service reviews canary.meshops.io"
TICKETS = [f"to approve: {ANNOTATE}/approve=4711-2-0", f"to reject: {ANNOTATE}/reject=4711-2-0"]
UNLOCK = "the deadline has passed; if ada@elsewhere/1 is dead: kubectl -n shop delete lease canary-reviews; then"
EDITED = {"v1": 70.0, "v2": 30.0}


class Record(Cluster):
    """Has the record of a rollout in a phase, and a Lease that expires in a minute, or has no holder."""

    def __init__(self, run: Run, *, held: bool) -> None:
        plan = Rollout("reviews", "shop", "v1", "v2", steps_from({"steps": STEPS, "pause": 5}))
        data = {"run": run.dump(), "plan": json.dumps(plan_of(plan)), "events": "[]"}
        now = run_status.Lease(t.cast(t.Any, Cluster(None)), SERVICE, 0, "nobody").now()
        spec = {"holderIdentity": "ada@elsewhere/1" if held else "", "leaseDurationSeconds": 60}
        self._lease = {"metadata": {}, "spec": {**spec, "renewTime": now.isoformat()}}
        self._record = {"metadata": {}, "data": data}
        self.moment = now.timestamp()

    def get(self, kind: t.Any, *_path: t.Any) -> dict[str, t.Any] | None:
        return self._lease if kind.kind == "Lease" else self._record


def status_of(phase: str, *, at: int = 0, held: bool = False, late: bool = False, **fields: t.Any) -> dict[str, t.Any]:
    """Return the status of a rollout in that phase; late: the deadline has passed."""
    weights = {"v1": 90.0, "v2": 10.0} if at == 0 else {"v1": 50.0, "v2": 50.0}
    found = fields.pop("found", weights)
    since = 0.0 if late else 9e9
    run = Run("4711", "reviews", "shop", "abc", t.cast(t.Any, phase), at, since, {"v1": 100.0}, weights, **fields)
    status = run_status.status(t.cast(t.Any, Record(run, held=held)), SERVICE, found, {}, [])
    assert status is not None
    return status


@pytest.mark.parametrize(
    ("status", "following"),
    [
        (status_of("observing"), [NO_HOLDER, CONTINUE, ROLL_BACK]),
        (status_of("observing", held=True), []),
        (status_of("observing", held=True, late=True), [UNLOCK, CONTINUE]),
        (status_of("observing", found=EDITED), [NO_HOLDER, RESTORE, ADOPT, ROLL_BACK]),
        (status_of("gated", at=1, held=True), TICKETS),
        (status_of("gated", at=1), [NO_HOLDER, CONTINUE, ROLL_BACK]),
        (status_of("stopped", stopped_in="shifting", found=EDITED), [RESTORE, ADOPT, ROLL_BACK]),
        (status_of("stopped", stopped_in="shifting"), [CONTINUE, ROLL_BACK]),
        (status_of("stopped", stopped_in="promoting", at=2), [
            f"to finish the promotion, once its cause is fixed: {RESUME}", ROLL_BACK]),
        (status_of("promoted", at=2), []),
        (status_of("rolled_back"), []),
    ],
)  # fmt: skip
def test_the_status_has_the_next_commands(status: dict[str, t.Any], following: list[str]) -> None:
    assert status["next"] == following
