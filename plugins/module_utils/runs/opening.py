# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a rollout begins, resumes or is refused: the options compared with the record and the routes."""

from __future__ import annotations

import secrets
import typing as t
from dataclasses import replace

from ..errors import ApiError, Drifted, InvalidInput, Refused
from ..gitops.last_writers import last_writers
from ..gitops.pause import FIELDS
from ..kube.resources import of_object
from ..objects.intents import SetWeights
from ..objects.metadata import identity
from ..objects.weights import TOLERANCE, same_split, weights_text
from ..replicas.canary_status import standing
from ..replicas.deployment_pair import Wanted
from ..rollout import cohort, record, transitions
from ..rollout.plan_options import playbook_command
from ..rollout.plan_text import plan_lines
from ..rollout.serving import stable_not_serving
from ..routing import plan as routes
from ..task.reading import ROUTES, Reader, api_of_routes
from .record_store import Stored, plan_of

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..kube.client import Cluster
    from ..objects.change import Plan
    from ..objects.hosts import ServiceRef
    from ..objects.snapshot import Snapshot
    from ..rollout.steps import Rollout
    from ..task.context import Terminal


class RoutingState(t.NamedTuple):
    """The current state. weights: version -> percent. image: stable's, by pods. cohort: description of its cohort.

    snapshot, objects: what it was read from, and the routing objects in it; None and () by pods.
    writer: a sentence about who wrote last, if that was not this collection; else empty.
    """

    weights: dict[str, float]
    image: str
    cohort: str = ""
    snapshot: Snapshot | None = None
    objects: Sequence[Mapping[str, t.Any]] = ()
    writer: str = ""

    def drift(self, rollout: Rollout, run: record.Run) -> str:
        """Return the difference between the record and this state, with who has made it; empty without one."""
        found = transitions.drift(rollout, run, self.weights, self.cohort)
        return f"{found}. {self.writer}" if found and self.writer else found


def read_state(cluster: Cluster, service: ServiceRef, rollout: Rollout, api: str) -> RoutingState:
    """Return the state of the routes, or of the pods. Raises Refused for contradictions, ApiError."""
    return _read_state(cluster, service, rollout, api)[1]


def read_again(cluster: Cluster, service: ServiceRef, rollout: Rollout, api: str, known: RoutingState) -> RoutingState:
    """Return the state as `read_state` does; only the known routing objects are read, without listing all others.

    The plan of the next write lists them all. Raises as `read_state`.
    """
    if known.snapshot is None or not known.objects:
        return read_state(cluster, service, rollout, api)
    found = []
    for one in known.objects:
        if one["kind"] == "DestinationRule":  # it has no weights
            continue
        try:
            resource = of_object(str(one["api_version"]), str(one["kind"]))
            obj = cluster.get(resource, str(one["namespace"]), str(one["name"]))
        except ApiError:  # such as a missing right to get single objects
            obj = None
        if obj is None:
            return read_state(cluster, service, rollout, api)
        found.append({"apiVersion": one["api_version"], "kind": one["kind"], **obj})
    return _state(known.snapshot.replaced(found), service, rollout, api)


def _read_state(cluster: Cluster, service: ServiceRef, rollout: Rollout, api: str) -> tuple[Reader, RoutingState]:
    reader = Reader(cluster, service, wide=not rollout.by_pods)
    if rollout.by_pods:
        wanted = Wanted(rollout.stable, rollout.canary, rollout.container, rollout.image)
        snapshot, pods = reader.decide(lambda state: standing(state, service, wanted), ("services", "deployments"))
        names = (rollout.stable, rollout.canary)
        own = [one for one in snapshot.deployments or () if identity(one) in {(service.namespace, n) for n in names}]
        return reader, RoutingState(*pods, writer=last_writers(own))
    return reader, reader.decide(lambda snapshot: _state(snapshot, service, rollout, api), ROUTES)[1]


def _state(snapshot: Snapshot, service: ServiceRef, rollout: Rollout, api: str) -> RoutingState:
    description = routes.describe(snapshot, service, api=api_of_routes(api), versions=rollout.versions)
    weights = {version: float(percent) for version, percent in description["weights"].items() if version}
    routed = cohort.describe_found(description["cohorts"].get(cohort.NAME))
    objects = description["objects"]
    writer = last_writers(snapshot.select(objects, FIELDS))
    return RoutingState(weights, "", routed, snapshot, objects, writer)


class Opening:
    """The decision at the beginning of a task. rollout: the options' plan. warnings: findings that were forced."""

    def __init__(
        self,
        cluster: Cluster,
        service: ServiceRef,
        params: Mapping[str, t.Any],
        terminal: Terminal,
        rollout: Rollout,
    ) -> None:
        self._params, self._terminal, self.rollout = params, terminal, rollout
        self.warnings: list[str] = []
        self._hash = record.plan_hash(plan_of(self.rollout))
        self._service = service
        self._reader, self._now = _read_state(cluster, service, self.rollout, params["route_api"])
        self._found = self._now.weights
        if not self._found:
            self._check_versions()  # says what is missing, in the words of canary_weight
            raise InvalidInput(
                f"The routes of {service.name} in {service.namespace} have no versions, so a rollout cannot change "
                "their weights. Create the routes first, with canary_routing or the role routing."
            )

    def diff(self) -> dict[str, str]:
        """Return the current weights and the plan as a diff."""
        before = weights_text(self._found)
        before += f"\ncohort {cohort.NAME}: {self._now.cohort}" if self._now.cohort else ""
        return {"before": f"{before}\n", "after": "\n".join(plan_lines(self.rollout)) + "\n"}

    def begins(self, stored: Stored | None) -> bool:
        """Return whether a new run begins: not if the recorded one continues, is done, or is in the way."""
        if stored is not None and (self._is_done(stored) or self._is_same_rollout(stored)):
            return False
        return stored is None or stored.run.over or bool(self._params["supersede"])

    def decide(self, stored: Stored | None, now: float) -> tuple[Stored, bool, str]:
        """Return the record to continue with, whether it is resumed, and the drift that was found.

        A rollout that is already promoted does not begin again; a stopped one resumes. Raises Refused for another
        rollout in progress, and for a version outside the plan that has requests; Drifted.
        """
        if stored is not None and self._is_done(stored):
            return stored, True, ""
        if stored is not None and self._is_same_rollout(stored):
            self._believe(stored, now)
            self._refuse_without_terminal(stored.run)
            drift = self._apply_drift_policy(stored, now)
            return stored, True, drift
        if stored is None or stored.run.over:
            return self._new_run(stored, now), False, ""
        if not self._params["supersede"]:
            raise self._another_rollout(stored)
        drift = self._drift(stored)
        return self._new_run(stored, now, stored), False, drift

    def can_supersede(self, stored: Stored | None) -> bool:
        """Return whether this rollout may take the lock from a living one that observes or waits at a gate.

        The living one writes its record next, and so finds the lock lost. While it writes routes it is not interrupted.
        """
        if stored is None or not self._params["supersede"] or stored.run.plan_hash == self._hash:
            return False
        return stored.run.phase in ("observing", "gated")

    def _is_done(self, stored: Stored) -> bool:
        """Return whether this canary is promoted, whatever the steps: beginning again would move requests back.

        That the record says so is not enough: the routes, or stable's image, must show it.
        """
        promoted = stored.run.phase == "promoted" and stored.rollout.canary == self.rollout.canary
        if self.rollout.by_pods:
            shown = self._now.image == self.rollout.image
        else:
            shown = same_split(self._found, self.rollout.weights(100.0))
        return promoted and shown and same_split(self._found, stored.run.written)

    def _is_same_rollout(self, stored: Stored) -> bool:
        """Return whether this is the rollout in the record, unfinished or stopped.

        A stopped promotion is finished whatever the steps: the first of them would move requests back.
        """
        same = record.plan_hash(plan_of(stored.rollout)) == self._hash
        if not stored.run.over:
            return same
        new, old = self.rollout, stored.rollout
        versions = (new.stable, new.canary, new.image) == (old.stable, old.canary, old.image)
        return bool(stored.run.stopped_in) and (same or (versions and stored.run.stopped_in == "promoting"))

    def _believe(self, stored: Stored, now: float) -> None:
        """Take from the record only where the rollout stands, and without a signature no further than the routes show.

        The plan is the one of the options. A stopped promotion is at its last step, whatever the steps were.
        """
        if stored.rollout != self.rollout:
            stored.run = replace(stored.run, at=len(self.rollout.steps) - 1, plan_hash=self._hash)
            stored.rollout = self.rollout
        stored.run = transitions.resume(stored.run, now) if stored.run.over else stored.run
        if not stored.signed:
            stored.run = transitions.judged_again(self.rollout, stored.run, self._found, now)

    def _check_versions(self) -> None:
        """Plan a share for each version of the plan. Raises what canary_weight raises, such as for a wrong name."""
        if self.rollout.by_pods:
            return
        plan = self.rollout
        shares = dict.fromkeys(plan.versions, 100 // len(plan.versions))
        shares[plan.stable] += 100 - sum(shares.values())
        api = api_of_routes(self._params["route_api"])
        intent = SetWeights({**dict.fromkeys(self._found, 0), **shares})
        self._reader.decide(lambda snapshot: routes.plan(snapshot, self._service, intent, api=api), ())

    def _refuse_stable_without_requests(self) -> None:
        """Raise Refused if stable serves nobody, unless that is forced."""
        finding = None if self.rollout.by_pods else stable_not_serving(self.rollout, self._found)
        if finding is None:
            return
        if finding.code in self._params["force"]:
            self.warnings.append(f"{finding.code}: {finding.object}: {finding.reason}")
            return
        raise Refused(
            f"Refused to begin the rollout of {self.rollout.canary}, nothing was written: [{finding.code}] "
            f"{finding.object}: {finding.reason} {finding.remedy}",
            [finding],
            weights_now=self._found,
        )

    def _refuse_unnamed_versions(self) -> None:
        """Raise Refused if a version outside the plan has requests, which the first step would move."""
        named = (self.rollout.stable, self.rollout.canary, self.rollout.baseline, *self.rollout.keep)
        others = {name: share for name, share in self._found.items() if name not in named and share > TOLERANCE}
        if not others or self.rollout.by_pods or self._params["supersede"]:
            return
        keep = ", ".join(f"{name}: {share:g}" for name, share in others.items())
        quoted = ", ".join(f'"{name}": {share:g}' for name, share in others.items())
        raise Refused(
            f"The routes of {self.rollout.service} send requests to versions that are not in this rollout: "
            f"{weights_text(others)}. The first step would take these requests away. Keep them with "
            f"-e '{{\"rollout_keep\": {{{quoted}}}}}' (keep: {{{keep}}}), or take them with -e rollout_supersede=true "
            "(supersede: true).",
            weights_now=self._found,
        )

    def _refuse_without_terminal(self, run: record.Run | None = None) -> None:
        """Raise Refused if a manual gate needs a terminal that does not exist. run: a resumed one."""
        gate = next((number for number, step in enumerate(self.rollout.steps, 1) if step.gate == "manual"), None)
        if self._params["approval"] != "terminal" or self._terminal.has_keyboard is not False or gate is None:
            return
        if run is not None and run.phase in ("rolling_back", "promoting"):
            return
        raise Refused(
            f"Step {gate} has a manual gate with approval at the terminal, but this playbook has no terminal. Use "
            "approval by annotation, which works from anywhere (rollout_approval: annotation; approval: annotation), "
            "or run the playbook at a terminal."
        )

    def _new_run(self, last: Stored | None, now: float, superseded: Stored | None = None) -> Stored:
        image = self._now.image
        if self.rollout.by_pods and image == self.rollout.image:
            raise InvalidInput(
                f"image: Deployment {self.rollout.stable} in {self.rollout.namespace} already runs {image}, so "
                "there is nothing to roll out."
            )
        self._check_versions()
        self._refuse_without_terminal()
        self._refuse_stable_without_requests()
        self._refuse_unnamed_versions()
        self._validate_cohorts()
        safe = transitions.safe_weights(self.rollout)
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

    def _validate_cohorts(self) -> None:
        """Plan each cohort of the steps, so that an impossible one is refused before the first step."""

        def plan_cohorts(snapshot: Snapshot) -> list[Plan]:
            api, cohorts = self._params["route_api"], [step.cohort for step in self.rollout.steps if step.cohort]
            different = [match for index, match in enumerate(cohorts) if match not in cohorts[:index]]
            return [
                cohort.plan_routes(snapshot, self._service, match, self.rollout.canary, api=api) for match in different
            ]

        self._reader.decide(plan_cohorts, ())

    def _drift(self, stored: Stored) -> str:
        return self._now.drift(stored.rollout, stored.run)

    def _apply_drift_policy(self, stored: Stored, now: float) -> str:
        drift = self._drift(stored)
        if not drift or stored.run.phase == "rolling_back":
            return drift  # drift must not keep requests on a failed version
        if stored.run.weak_failure:
            stored.run, _entries = transitions.advance(stored.rollout, stored.run, "drift", now, note=drift)
            return drift
        if self._params["on_drift"] == "stop":
            raise Drifted(
                f"The weights were changed externally during the rollout. {drift}. Nothing was written. "
                "Run again with -e rollout_on_drift=restore (on_drift: restore) to restore this rollout's weights, or "
                "with -e rollout_on_drift=adopt (on_drift: adopt) to continue from the current ones.",
                drift=drift,
                weights_now=self._found,
                weights_written=dict(stored.run.written),
            )
        if self._params["on_drift"] == "adopt":
            stored.run = transitions.adopt_drift(stored.rollout, stored.run, self._found, now, self._now.cohort)
        else:
            stored.run = transitions.restore_after_drift(stored.run, now, self._now.cohort)
        return drift

    def _another_rollout(self, stored: Stored) -> Refused:
        run, rollout = stored.run, stored.rollout
        weight = transitions.step_of(rollout, run).weight
        return Refused(
            f"Another rollout of {run.service} is in progress: {rollout.canary} replaces {rollout.stable}, "
            f"{run.phase.replace('_', ' ')} at {weight:g}%. Finish it with its own plan, supersede it "
            "with -e rollout_supersede=true (supersede: true), or roll it back: "
            f"{playbook_command('rollback', service=run.service, ns=run.namespace)}",
            run=run.id,
            plan_text=plan_lines(rollout),
        )
