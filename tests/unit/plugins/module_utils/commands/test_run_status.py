# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What whoever finds a rollout is told to do, and a record that cannot be read. The rest is in tests/api."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.commands import run_status
from ansible_collections.meshops.canary.plugins.module_utils.commands.run_store import plan_of
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError
from ansible_collections.meshops.canary.plugins.module_utils.rollout.plan import Rollout, steps_from
from ansible_collections.meshops.canary.plugins.module_utils.rollout.record import Run
from ansible_collections.meshops.canary.plugins.module_utils.routes.hosts import ServiceRef

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


def test_no_record_is_no_note() -> None:
    assert noted(None) == []


def test_a_right_that_is_missing_is_said() -> None:
    (note,) = noted(ApiError("no right to get configmaps", 403, reason="Forbidden"))
    assert note == "Whether a rollout is under way is not known: no right to get configmaps"


def test_a_record_that_is_no_record_is_said() -> None:
    (note,) = noted({"data": {"run": "<html>", "plan": "{}", "events": "[]"}})
    assert "ConfigMap shop/canary-rollout-reviews holds the record" in note


PLAY = "ansible-playbook meshops.canary"
WHERE = "-e service=reviews -e ns=shop -e stable=v1"
STEPS = [10, {"weight": 50, "gate": "manual"}, 100]
PLAN = json.dumps({"steps": [{"weight": 10, "gate": "none"}, STEPS[1], {"weight": 100, "gate": "none"}], "pause": 5})
ONWARD = f"{PLAY}.rollout {WHERE} -e canary=v2 -e '{PLAN}'"
BACK = f"to take everything back: {PLAY}.rollback {WHERE}"
GO_ON = f"to go on: {ONWARD}"
NOBODY = "nobody works on it; metrics and hooks are not recorded, so add those it was begun with"
RESTORE = f"to put the rollout's weights back and go on: {ONWARD} -e on_drift=restore"
ADOPT = f"to keep the edit and go on from there: {ONWARD} -e on_drift=adopt"
ANNOTATE = "kubectl -n shop annotate --overwrite service reviews canary.meshops.io"
TICKETS = [f"to go on: {ANNOTATE}/approve=4711-2-9000000000", f"to go back: {ANNOTATE}/reject=4711-2-9000000000"]
UNLOCK = "its time is over; if ada@elsewhere/1 is dead for good: kubectl -n shop delete lease canary-reviews; then"
EDITED = {"v1": 70.0, "v2": 30.0}


class Record(Cluster):
    """Has the record of a rollout in a phase, and a Lease that ends in a minute, or nobody holds."""

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


def told(phase: str, *, at: int = 0, held: bool = False, late: bool = False, **fields: t.Any) -> dict[str, t.Any]:
    """Return the status of a rollout in that phase; late: the phase's time is over."""
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
        (told("observing"), [NOBODY, GO_ON, BACK]),
        (told("observing", held=True), []),
        (told("observing", held=True, late=True), [UNLOCK, GO_ON]),
        (told("observing", found=EDITED), [NOBODY, RESTORE, ADOPT, BACK]),
        (told("gated", at=1, held=True), TICKETS),
        (told("gated", at=1), [NOBODY, GO_ON, BACK]),
        (told("stopped", stopped_in="shifting", found=EDITED), [RESTORE, ADOPT, BACK]),
        (told("stopped", stopped_in="shifting"), [GO_ON, BACK]),
        (told("stopped", stopped_in="promoting", at=2), [
            f"to finish the promotion, when what stopped it is mended: {ONWARD}", BACK]),
        (told("promoted", at=2), []),
        (told("rolled_back"), []),
    ],
)  # fmt: skip
def test_whoever_finds_a_rollout_is_told_what_there_is_to_do(status: dict[str, t.Any], following: list[str]) -> None:
    assert status["next"] == following
