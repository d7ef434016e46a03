# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Apply events to a rollout: check for drift, write the audit log, emit Kubernetes Events."""

from __future__ import annotations

import typing as t

from ..errors import CanaryError, Conflict, InvalidInput
from ..objects.plain_text import plain
from ..objects.weights import TOLERANCE
from ..rollout import cohort, state_machine, transitions
from . import report
from .opening import read_again, read_state
from .record_store import RolloutOver

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..kube.client import Cluster
    from ..objects.hosts import ServiceRef
    from ..rollout.record import Run
    from .lock import Lease
    from .opening import RoutingState
    from .record_store import Stored

    Entry = dict[str, t.Any]


class RunEvents:
    """The events of one task. warnings: for the result."""

    def __init__(self, cluster: Cluster, service: ServiceRef, lease: Lease, params: Mapping[str, t.Any]) -> None:
        self._cluster, self._service, self._lease, self._params = cluster, service, lease, params
        self._found: RoutingState | None = None
        self._is_old = False
        self.warnings: list[str] = []

    def apply_event(
        self,
        stored: Stored,
        event: state_machine.Event,
        verdict: Mapping[str, t.Any] | None = None,
        note: str = "",
        failed: int = 0,
    ) -> tuple[list[Entry], str]:
        """Apply `event`, unless drift was found and the next write would overwrite it.

        Returns the new entries of the audit log, not stored yet, and the description of the drift.
        """
        rollout, before, now, drift = stored.rollout, stored.run, self.now(), ""
        try:
            after, entries = transitions.advance(rollout, before, event, now, verdict=verdict, note=note)
        except state_machine.ImpossibleEvent as error:
            possible = ", ".join(sorted(state_machine.possible(before.phase)))
            if before.over:
                raise RolloutOver(
                    f"event: {error}; possible now: {possible or 'none, the rollout has ended'}.", run=before.id
                ) from error
            raise InvalidInput(f"event: {error}; possible now: {possible}.") from error
        if event == "done" and not rollout.by_pods:
            self._verify_end(stored, after)
        if transitions.writes_next(after):
            found, cohort_found = self.current_state(stored)
            drift = self.drift(stored, before)
            if drift:
                policy = self._params["on_drift"]
                after, entries = transitions.apply_drift(
                    rollout, before, event, (after, entries), found, now, policy, drift, cohort_found
                )
        stored.run = after
        if failed and entries:
            entries[0]["failed_requests"] = int(entries[0].get("failed_requests") or 0) + failed
        self.add(stored, entries, note)
        return entries, drift

    def _verify_end(self, stored: Stored, after: Run) -> None:
        """Raise Conflict if the routes do not have the final state: a run that lost its lock may write last."""
        canary = stored.rollout.canary
        weights, cohort_found = self.current_state(stored)
        found = weights.get(canary, 0.0)
        wanted = transitions.desired_weights(stored.rollout, after).get(canary, 0.0)
        if abs(found - wanted) > TOLERANCE:
            raise Conflict(
                f"{canary} has {found:g}% of the requests instead of {wanted:g}%: the routes of {self._service.name} "
                "were changed externally. Run again to write them once more."
            )
        if cohort_found and transitions.cohorts_to_end(stored.rollout, stored.run):
            raise Conflict(
                f"The cohort {cohort.NAME} of {self._service.name} is still routed: {cohort_found}. The routes were "
                "changed externally. Run again to remove it once more."
            )

    def now(self) -> float:
        """Return the API server's time, in Unix seconds."""
        return self._lease.now().timestamp()

    def add(self, stored: Stored, entries: list[Entry], note: str = "") -> None:
        """Append entries to the audit log, each with time, author and note."""
        moment = self._lease.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for entry in entries:
            with_note = {"note": note} if note else {}
            stored.add(plain({"at": moment, "by": self._lease.identity, **with_note, "reason": "", **entry}))

    def forget_state(self) -> None:
        """Read the routes again when they are needed next."""
        self._is_old = True

    def current_state(self, stored: Stored) -> tuple[dict[str, float], str]:
        """Return the weights and the cohort on the routes, as text; read once until `forget_state`."""
        given = (self._cluster, self._service, stored.rollout, self._params["route_api"])
        if self._found is None:
            self._found = read_state(*given)
        elif self._is_old:
            self._found = read_again(*given, self._found)
        self._is_old = False
        return self._found.weights, self._found.cohort

    def drift(self, stored: Stored, run: Run) -> str:
        """Return the difference between a run and the routes, with who has made it; empty without one."""
        self.current_state(stored)
        return "" if self._found is None else self._found.drift(stored.rollout, run)

    def write_events(self, stored: Stored, entries: list[Entry]) -> None:
        """Write Kubernetes Events on the Service; a failure is a warning."""
        try:
            report.write_events(self._cluster, self._service, stored, entries, self._lease.now())
        except CanaryError as error:
            self.warnings.append(f"Events on Service {self._service.name} could not be written: {error.msg}")
