# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What happens to a rollout, event by event: seen beside somebody's edits, put into the trail, told in Events."""

from __future__ import annotations

import typing as t

from ..errors import CanaryError, Conflict, InvalidInput
from ..rollout import cohort, machine, steering
from ..routes.weights import EQUAL
from . import run_result
from .run_open import state_now
from .run_store import Over

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..cluster import Cluster
    from ..rollout.record import Run
    from ..routes.hosts import ServiceRef
    from .lease import Lease
    from .run_store import Stored

    Entry = dict[str, t.Any]


class Happenings:
    """Those of one task. warnings: what the user should know beside the result."""

    def __init__(self, cluster: Cluster, service: ServiceRef, lease: Lease, params: Mapping[str, t.Any]) -> None:
        self._cluster, self._service, self._lease, self._params = cluster, service, lease, params
        self._found: tuple[dict[str, float], str] | None = None
        self.warnings: list[str] = []

    def by_itself(self, stored: Stored) -> tuple[list[Entry], str]:
        """Let the run meet those events of `then`, in their order, for which nothing is left to be done."""
        trail: list[Entry] = []
        for event in self._params["then"]:
            if not steering.comes_by_itself(stored.rollout, stored.run, event):
                continue
            entries, drift = self.meet(stored, event)
            trail += entries
            if drift:
                return trail, drift
        return trail, ""

    def meet(
        self, stored: Stored, event: machine.Event, verdict: Mapping[str, t.Any] | None = None, note: str = ""
    ) -> tuple[list[Entry], str]:
        """Let the run meet `event`, unless somebody's edit stands in the way of what would be written next.

        Returns the entries of the trail, which are not written yet, and the edit in words.
        """
        rollout, before, now, drift = stored.rollout, stored.run, self.now(), ""
        try:
            stored.run, trail = steering.advance(rollout, before, event, now, verdict=verdict, note=note)
        except machine.Impossible as error:
            possible = ", ".join(sorted(machine.possible(before.phase)))
            if before.over:
                raise Over(f"event: {error}; possible now: {possible or 'none, it is over'}.", run=before.id) from error
            raise InvalidInput(f"event: {error}; possible now: {possible}.") from error
        if event == "done" and not rollout.by_pods:
            self._prove_the_end(stored, before)
        if steering.about_to_write(stored.run):
            found, beside = self.standing(stored)
            drift = steering.drift(rollout, before, found, beside)
            if drift:
                policy, went = self._params["on_drift"], (stored.run, trail)
                stored.run, trail = steering.drifted(rollout, before, event, went, found, now, policy, drift, beside)
        self.add(stored, trail, note)
        return trail, drift

    def _prove_the_end(self, stored: Stored, before: Run) -> None:
        """Raise Conflict if the canary has not what is its own in the end: a run that lost its lock may write last."""
        canary = stored.rollout.canary
        weights, beside = self.standing(stored)
        found = weights.get(canary, 0.0)
        wanted = steering.weights_wanted(stored.rollout, stored.run).get(canary, 0.0)
        if abs(found - wanted) > EQUAL:
            raise Conflict(
                f"{canary} has {found:g}% of the requests and not {wanted:g}%: somebody wrote the routes of "
                f"{self._service.name} in between. Write run.weights_wanted again, by canary_weight, and record this "
                "again; the role does both when it is run again."
            )
        if beside and steering.ending_cohorts(stored.rollout, before):
            raise Conflict(
                f"The cohort {cohort.NAME} of {self._service.name} is still routed: {beside}. Somebody wrote it in "
                f"between. End it by canary_weight with end_cohorts: [{cohort.NAME}], and record this again; the role "
                "does both when it is run again."
            )

    def now(self) -> float:
        """Return the API server's time, in Unix seconds."""
        return self._lease.now().timestamp()

    def add(self, stored: Stored, entries: list[Entry], note: str = "") -> None:
        """Put entries at the end of the trail, each with the moment, who wrote it, and the note."""
        moment = self._lease.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for entry in entries:
            said = {"note": note} if note else {}
            stored.add({"at": moment, "by": self._lease.identity, **said, "reason": "", **entry})

    def standing(self, stored: Stored) -> tuple[dict[str, float], str]:
        """Return the weights, and the rollout's cohort in words, as they are while this task runs."""
        if self._found is None:
            now = state_now(self._cluster, self._service, stored.rollout, self._params["route_api"])
            self._found = (now.weights, now.cohort)
        return self._found

    def announce(self, stored: Stored, entries: list[Entry]) -> None:
        """Write Kubernetes Events on the Service; without the right to, a warning says so once."""
        try:
            run_result.announce(self._cluster, self._service, stored, entries, self._lease.now())
        except CanaryError as error:
            self.warnings.append(f"No Event was written on Service {self._service.name}: {error.msg}")
