# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a rollout begins, goes on, or must not: what is asked for beside what is recorded and what the routes say."""

from __future__ import annotations

import secrets
import typing as t

from ..errors import Drifted, InvalidInput, Refused
from ..replicas.pair import Wanted
from ..replicas.standing import standing
from ..rollout import cohort, record, steering
from ..rollout.plan_text import in_lines
from ..routes import plan as routes
from ..routes.weights import EQUAL, alike, shares_in_words
from . import stopping
from .reading import Reader
from .run_plan import planned
from .run_store import Stored, plan_of

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..cluster import Cluster
    from ..rollout.plan import Rollout
    from ..routes.change import Plan
    from ..routes.hosts import ServiceRef
    from ..routes.snapshot import Snapshot

_ROUTES: t.Final = ("virtual_services", "destination_rules", "http_routes")


class Found(t.NamedTuple):
    """What is there now. weights: version -> percent. image: stable's, by pods. cohort: the rollout's, in words."""

    weights: dict[str, float]
    image: str
    cohort: str = ""


def state_now(cluster: Cluster, service: ServiceRef, rollout: Rollout, api: str) -> Found:
    """Return what the routes have, or the pods. Raises Refused for contradictions, ApiError."""
    return _looked(cluster, service, rollout, api)[1]


def _looked(cluster: Cluster, service: ServiceRef, rollout: Rollout, api: str) -> tuple[Reader, Found]:
    reader = Reader(cluster, service, wide=not rollout.by_pods)
    if rollout.by_pods:
        asked = Wanted(rollout.stable, rollout.canary, rollout.container, rollout.image)
        pods = reader.decide(lambda state: standing(state, service, asked), ("services", "deployments"))[1]
        return reader, Found(*pods)
    api = "auto" if api == "replicas" else api
    _snapshot, description = reader.decide(lambda snapshot: routes.describe(snapshot, service, api=api), _ROUTES)
    weights = {version: float(percent) for version, percent in description["weights"].items() if version}
    return reader, Found(weights, "", cohort.told(description["cohorts"].get(cohort.NAME)))


class Opening:
    """One task that opens. Raises InvalidInput for a plan that cannot be."""

    def __init__(self, cluster: Cluster, service: ServiceRef, params: Mapping[str, t.Any]) -> None:
        self._params = params
        self.rollout = planned(service, params)
        self._hash = record.plan_hash(plan_of(self.rollout))
        self._service = service
        self._reader, self._now = _looked(cluster, service, self.rollout, params["route_api"])
        self._found = self._now.weights
        if not self._found:
            raise InvalidInput(
                f"The routes of {service.name} in {service.namespace} name no version, so nothing can be moved step by "
                "step. Route the service first, with canary_routing or the role routing."
            )

    def diff(self) -> dict[str, str]:
        """Return the plan as Ansible shows differences."""
        before = shares_in_words(self._found)
        before += f"\ncohort {cohort.NAME}: {self._now.cohort}" if self._now.cohort else ""
        return {"before": f"{before}\n", "after": "\n".join(in_lines(self.rollout)) + "\n"}

    def decide(self, stored: Stored | None, now: float) -> tuple[Stored, bool, str]:
        """Return the record to go on with, whether it was begun before, and the drift that was found.

        A rollout that is promoted, and still is, is not begun again; one that was stopped goes on. Raises Refused for
        another one under way, and for a version that would lose its requests unasked; Drifted.
        """
        if stored is not None and self._is_done(stored):
            return stored, True, ""
        if stored is not None and self._goes_on(stored):
            stored.run = steering.unstopped(stored.run, now) if stored.run.over else stored.run
            self._refuse_without_terminal(stored.run)
            drift = self._treat_drift(stored, now)
            return stored, True, drift
        if stored is None or stored.run.over:
            return self._begun(stored, now), False, ""
        if not self._params["supersede"]:
            raise self._another(stored)
        drift = self._drift(stored)
        return self._begun(stored, now, stored), False, drift

    def may_dislodge(self, stored: Stored | None) -> bool:
        """Return whether this rollout may take the lock from a living one: superseding it while it judges or waits.

        What it does next is to record, and that finds the lock lost. While it writes routes it must not be disturbed.
        """
        if stored is None or not self._params["supersede"] or stored.run.plan_hash == self._hash:
            return False
        return stored.run.phase in ("observing", "gated")

    def _is_done(self, stored: Stored) -> bool:
        """Return whether this canary is promoted and still is, by whatever steps: beginning anew would take it back."""
        promoted = stored.run.phase == "promoted" and stored.rollout.canary == self.rollout.canary
        return promoted and alike(self._found, stored.run.written)

    def _goes_on(self, stored: Stored) -> bool:
        """Return whether this is the rollout that was left unfinished or stopped.

        A promotion that was stopped is finished by whatever steps: the first of them would take it back.
        """
        same = stored.run.plan_hash == self._hash
        if not stored.run.over:
            return same
        mine, theirs = self.rollout, stored.rollout
        versions = (mine.stable, mine.canary, mine.image) == (theirs.stable, theirs.canary, theirs.image)
        return bool(stored.run.stopped_in) and (same or (versions and stored.run.stopped_in == "promoting"))

    def _refuse_to_take(self) -> None:
        """Raise Refused if a version that the plan does not name would lose its requests unasked."""
        named = (self.rollout.stable, self.rollout.canary, self.rollout.baseline, *self.rollout.keep)
        others = {name: share for name, share in self._found.items() if name not in named and share > EQUAL}
        if not others or self.rollout.by_pods or self._params["supersede"]:
            return
        told = shares_in_words(others)
        keep = ", ".join(f"{name}: {share:g}" for name, share in others.items())
        quoted = ", ".join(f'"{name}": {share:g}' for name, share in others.items())
        raise Refused(
            f"The routes of {self.rollout.service} give requests to versions that this rollout does not name: {told}. "
            f"Its first step would take them. Let them be kept by -e '{{\"rollout_keep\": {{{quoted}}}}}' "
            f"(keep: {{{keep}}}), or taken by -e supersede=true (supersede: true).",
            weights_now=self._found,
        )

    def _refuse_without_terminal(self, run: record.Run | None = None) -> None:
        """Raise Refused if a person is to be asked at a terminal that is not there. run: one that goes on."""
        asks = next((number for number, step in enumerate(self.rollout.steps, 1) if step.gate == "manual"), None)
        if self._params["approval"] != "terminal" or stopping.keyboard is not False or asks is None:
            return
        if run is not None and run.phase in ("rolling_back", "promoting"):
            return
        raise Refused(
            f"Step {asks} has a manual gate that is to be answered at the terminal, and this playbook has none: nobody "
            "could answer, and nobody would judge meanwhile. Let it be answered from anywhere, by rollout_approval: "
            "annotation (approval: annotation), or run the playbook at a terminal."
        )

    def _begun(self, last: Stored | None, now: float, superseded: Stored | None = None) -> Stored:
        image = self._now.image
        if self.rollout.by_pods and image == self.rollout.image:
            raise InvalidInput(
                f"image: Deployment {self.rollout.stable} in {self.rollout.namespace} runs {image} already, so "
                "there is nothing to roll out."
            )
        self._refuse_without_terminal()
        self._refuse_to_take()
        self._try_cohorts()
        safe = steering.safe_weights(self.rollout)
        reason = f"supersedes {superseded.run.id}" if superseded else ""
        run = record.Run(
            id=secrets.token_hex(4),
            service=self.rollout.service,
            namespace=self.rollout.namespace,
            plan_hash=self._hash,
            phase="preparing",
            at=0,
            since=now,
            safe=safe,
            written=self._found,
            reason=reason,
            image_before=image,
            cohort=self._now.cohort,
        )
        return Stored(self.rollout, run, [], last.obj if last else None)

    def _try_cohorts(self) -> None:
        """Plan each cohort of the steps once, so that one that cannot be routed is refused before the first step."""

        def try_them(snapshot: Snapshot) -> list[Plan]:
            api, named = self._params["route_api"], [step.cohort for step in self.rollout.steps if step.cohort]
            different = [match for index, match in enumerate(named) if match not in named[:index]]
            return [cohort.planned(snapshot, self._service, match, self.rollout.canary, api=api) for match in different]

        self._reader.decide(try_them, ())

    def _drift(self, stored: Stored) -> str:
        return steering.drift(stored.rollout, stored.run, self._found, self._now.cohort)

    def _treat_drift(self, stored: Stored, now: float) -> str:
        drift = self._drift(stored)
        if not drift or stored.run.phase == "rolling_back":
            return drift  # nobody's edit keeps requests on a version that failed
        if stored.run.doubted:
            stored.run, _trail = steering.advance(stored.rollout, stored.run, "drift", now, note=drift)
            return drift
        if self._params["on_drift"] == "stop":
            raise Drifted(
                f"Somebody changed the weights while the rollout was under way. {drift}. Nothing was written. "
                "Run again with -e on_drift=restore (on_drift: restore) to put this rollout's weights back, or with "
                "-e on_drift=adopt (on_drift: adopt) to go on from what is there.",
                drift=drift,
                weights_now=self._found,
                weights_written=dict(stored.run.written),
            )
        if self._params["on_drift"] == "adopt":
            stored.run = steering.adopted(stored.rollout, stored.run, self._found, now, self._now.cohort)
        else:
            stored.run = steering.restored(stored.run, now, self._now.cohort)
        return drift

    def _another(self, stored: Stored) -> Refused:
        run, rollout = stored.run, stored.rollout
        weight = steering.step_of(rollout, run).weight
        return Refused(
            f"Another rollout of {run.service} is under way: {rollout.canary} takes over from {rollout.stable}, "
            f"{run.phase.replace('_', ' ')} at {weight:g}%. Finish it with its own plan, or begin this one in its "
            "place by -e supersede=true (supersede: true), or take it back: ansible-playbook meshops.canary.rollback "
            f"-e service={run.service} -e ns={run.namespace}",
            run=run.id,
            plan_text=in_lines(rollout),
        )
