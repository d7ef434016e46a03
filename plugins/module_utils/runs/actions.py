# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the phases of a rollout do to routes and pods: one method for each working action of rollout/phases.py."""

from __future__ import annotations

import time
import typing as t
from dataclasses import replace

from ..errors import CanaryError, Refused
from ..evidence import analysis_options
from ..evidence.drain import requests_to
from ..evidence.load import Load
from ..kube.resources import DEPLOYMENT
from ..replicas.deployment_pair import image_of
from ..rollout import cohort, phases, result_line, step_estimates, transitions
from ..rollout.phases import Situation
from ..rollout.planned_changes import planned_changes
from ..task.reading import api_of_routes
from ..writing import capacity, replica_pods, routes
from . import checks
from .gitops import RolloutPause
from .record_store import active_run_check
from .session import LOST

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..evidence.analysis_run import AnalysisRun
    from ..kube.client import Cluster
    from ..objects.hosts import ServiceRef
    from ..rollout.phases import Settings
    from ..rollout.steps import Rollout
    from ..task.argument_spec import ArgSpec
    from ..task.context import Context
    from .session import Session

    Result = dict[str, t.Any]

T = t.TypeVar("T")

TRIES: t.Final = 10
PAUSE_BETWEEN_TRIES: t.Final = 3.0
"""A rollback, and the record of a failure, are tried so often, with so many seconds in between."""
KEPT_LOG_EVERY: t.Final = 30.0
"""Seconds between two lines while the old pods are kept."""
MAX_DRAIN_SECONDS: t.Final = 120.0
"""How long a version is waited for that still gets requests."""
PODS_TO_COME: t.Final = ("CAPACITY_BELOW_SHARE", "SUBSET_NOT_READY")
"""Findings about pods that a rollout starts itself before it routes requests to them."""

TITLES: t.Final[dict[str, str]] = {
    "pause_gitops": "Pause the GitOps tools",
    "start_watchdog": "Start the watchdog",
    "check_shares": "Compute the pods of each share",
    "scale_canary": "Scale the canary",
    "scale_baseline": "Scale the baseline",
    "route_cohort": "Route the cohort",
    "shift": "Set the canary's weight",
    "scale_canary_share": "Scale the canary for its share",
    "analyze": "Analyze the canary",
    "pause": "Wait without an analysis",
    "wait_at_gate": "Wait at the gate",
    "shift_all": "Shift all requests to the new version",
    "keep_old_pods": "Keep the old pods",
    "drain_old_version": "Wait for the old version to drain",
    "restore_min_replicas": "Restore minReplicas of the autoscalers",
    "scale_down_old_version": "Scale down the old version",
    "remove_idle_pods": "Scale the baselines to zero",
    "shift_back": "Shift all requests back to stable",
    "drain_canary": "Wait for the canary to drain",
    "update_stable": "Update stable to the new image",
    "remove_canary": "Remove the canary",
    "restore_image": "Restore the image of stable",
}
"""Action -> what it does, for messages."""


class Actions:
    """The actions of one task. lines: what was shown, as text. shift_message, drain_note: for the audit log.

    api: the route_api by which the routes are read and written.

    estimates: how long the steps of a new rollout take at the load of now, as text. late_failures: failed requests of
    the canary from its last analysis until the proxies had the routes of the rollback.
    """

    def __init__(
        self,
        cluster: Cluster,
        service: ServiceRef,
        session: Session,
        settings: Settings,
        params: Mapping[str, t.Any],
        context: Context,
    ) -> None:
        self._cluster, self._service, self._session = cluster, service, session
        self._settings, self._params, self._context = settings, params, context
        self.api = api_of_routes(params["route_api"])
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self.estimates: list[str] = []
        self._analysis: AnalysisRun | None = None
        self.gitops = RolloutPause(cluster, service, params)
        self.late_failures = 0
        self.shift_message = self.drain_note = ""

    def show(self, module: str, result: Mapping[str, t.Any]) -> None:
        """Show the result of a part of the rollout, and keep its line."""
        self._context.show(module, result)
        if line := result_line.line(module, result):
            self.lines.append(line)

    def tell(self, sentence: str) -> None:
        """Show a sentence, and keep it."""
        self._context.show("canary_rollout", {"text": sentence})
        self.lines.append(sentence)

    def title(self, action: str) -> str:
        """Return what an action does, for messages; empty for an event."""
        return TITLES.get(action, "")

    # Before the record exists, and in check mode

    def check_before(self, rollout: Rollout) -> None:
        """Refuse what would fail at the end. Raises CanaryError."""
        checks.check_outside(self._service, rollout, self._params)
        checks.check_rights(self._cluster, self._service, rollout, self._params)
        self.gitops.check(rollout)
        baseline, pods, stable = rollout.baseline, self._settings.old_replicas, rollout.stable
        if rollout.by_pods or not (baseline or pods == 0):
            return
        versions = checks.versions_of(self._cluster, self._service, self.api, rollout.versions)
        checks.check_old_replicas(versions, stable, pods)
        if baseline:
            checks.check_baseline(self._cluster, self._service, versions, stable, baseline)

    def check_first_changes(self) -> None:
        """Refuse a new rollout whose first changes would be refused: preflight, and a dry run. Raises CanaryError.

        Its pods do not exist yet, so missing pods are no finding. check_before has come before.
        """
        if self._session.rollout.by_pods:
            self.check_shares()
            return
        rollout = self._session.rollout
        judged = any(step.analysis for step in rollout.steps)
        load = Load(self._cluster, self._service, self._params) if judged else None
        quiet = replace(self._context, check_mode=True, log=_quiet, show=_quiet)
        params = {**self._params, "force": [*self._params["force"], *self.gitops.answered]}
        trial = Actions(self._cluster, self._service, self._session, self._settings, params, quiet)
        scales = self._situation.scales_pods
        forced = PODS_TO_COME if scales or rollout.baseline else ()  # the pods of a baseline are always started
        if transitions.cohort_due(rollout, self._session.run):
            trial.route_cohort(forced=forced)
        trial._weights(forced=forced)
        if scales:
            trial.scale_canary()
        if self._context.check_mode:
            self.warnings += [one for one in trial.warnings if not one.startswith(PODS_TO_COME)]
        if load is not None:
            self._estimate(rollout, load.per_second())

    def _estimate(self, rollout: Rollout, per_second: float | None) -> None:
        """Set the estimate of the steps' lengths, and warn of those that would end without a verdict."""
        needed = analysis_options.requests_needed(analysis_options.specs_of(self._params))
        if per_second is None or not needed:
            return
        self.estimates = step_estimates.estimate_lines(rollout, per_second, needed)
        finding = step_estimates.too_few(rollout, per_second, needed, self._params["warm_up"])
        if finding is not None:
            self.warnings.append(f"{finding.code}: {finding.object}: {finding.reason} {finding.remedy}")

    def planned(self) -> list[str]:
        """Return the planned changes, a line each; the API server has validated the first one. Raises CanaryError.

        The first change of a resumed run is validated without preflight, because its pods may not exist yet.
        """
        session, run, rollout = self._session, self._session.run, self._session.rollout
        if rollout.by_pods:
            return [] if run.phase in ("promoting", "rolling_back") else self.check_shares()
        known = session.result()
        versions = checks.versions_of(self._cluster, self._service, self.api, rollout.versions)
        lines = planned_changes(
            versions,
            known["steps"],
            rollout.stable,
            rollout.canary,
            capacity=self._settings.capacity,
            headroom=self._params["headroom"],
            old_replicas=self._settings.old_replicas,
            baseline=rollout.baseline,
            run=known["run"],
        )
        lines += self.gitops.planned(rollout)
        if transitions.cohort_due(rollout, run):
            self.route_cohort(preflight=False)
        self._weights(preflight=False)
        return [*lines, *self.estimates]

    def check_shares(self) -> list[str]:
        """Return what each share of a canary by pods costs. Raises CanaryError for one that cannot be reached."""
        quiet = replace(self._context, check_mode=True)
        results = [
            replica_pods.write_pods(self._cluster, self._pod_options(share=step.weight, **self._pod_shares()), quiet)
            for step in self._session.rollout.steps
        ]
        return [str(one["advice"]) for one in results]

    # More capacity before more requests

    def scale_canary(self) -> None:
        """Give the canary the pods for its share, and keep those of stable."""
        now, rollout = self._situation, self._session.rollout
        self._scale(
            rollout.canary,
            share=now.step.weight,
            other_versions=[rollout.baseline] if rollout.baseline else [],
            keep_stable=self._settings.capacity,
            next_share=(phases.share_ahead(now) or None) if self._params["pods_ahead"] else None,
            last_share=phases.last_share(rollout) if now.run.at == 0 else None,
        )

    def scale_baseline(self) -> None:
        """Give the baseline new pods for its share: those of an earlier rollout would be older than the canary's."""
        rollout, deadline = self._session.rollout, self._situation.step.deadline
        versions = checks.versions_of(self._cluster, self._service, self.api, rollout.versions)
        checks.check_baseline(self._cluster, self._service, versions, rollout.stable, rollout.baseline)
        found = checks.version(versions, rollout.baseline)
        if int(found.get("desired") or 0) > 0 and not found.get("weight"):
            self._reduce(rollout.baseline, 0)
            self._wait_without_pods(found["deployments"][0], deadline)
        self._scale(rollout.baseline, share=self._situation.baseline_share, other_versions=[rollout.canary])

    def _scale(self, version: str, *, share: float, **given: t.Any) -> None:
        """Scale a version for its share, or without `capacity` to the pods of its step."""
        step, stable = self._situation.step, self._session.rollout.stable
        by_load = {**given, "stable": stable, "share": share}
        by_plan = {"other_versions": given["other_versions"], "pods": step.replicas or 1}
        options = self.options(
            capacity.SPEC,
            version=version,
            min_pods=step.replicas or 1,
            headroom=self._params["headroom"],
            wait_timeout=step.deadline,
            force=self._params["force"],
            **(by_load if self._settings.capacity else by_plan),
        )
        result = capacity.write_capacity(self._cluster, options, self._context)
        self.warnings += result.get("warnings") or []

    def _wait_without_pods(self, deployment: str, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            found = self._cluster.get(DEPLOYMENT, self._service.namespace, deployment) or {}
            if not int((found.get("status") or {}).get("replicas") or 0):
                return
            time.sleep(0.3)
        raise Refused(f"Deployment {deployment} still has pods {seconds:g} s after it was scaled to 0. Check its pods.")

    # Requests

    def route_cohort(self, *, preflight: bool = True, forced: Sequence[str] = ()) -> None:
        """Route the cohort of the step to the canary. forced: codes beside those of the task."""
        rollout, step = self._session.rollout, self._situation.step
        wanted = cohort.route_options(transitions.desired_cohort(rollout, self._session.run), rollout.canary)
        options = self.options(
            routes.COHORT_SPEC,
            **wanted,
            preflight=preflight,
            wait_timeout=step.deadline,
            force=[*self._params["force"], *forced],
        )
        result = routes.write_cohort(self._cluster, options, self._context, self._before_write())
        self.tell(str(result["msg"]))

    def shift(self) -> None:
        """Set the weights of the step."""
        result = self._weights(wait_timeout=self._situation.step.deadline)
        self.shift_message = str(result["msg"])

    def shift_all(self) -> None:
        """Give the canary all requests."""
        self._weights(finalize=True)

    def shift_back(self) -> None:
        """Give stable all requests. Nothing may refuse it, so there is no preflight, and a failure is retried."""
        run, rollout = self._session.run, self._session.rollout
        options = self.options(
            routes.WEIGHT_SPEC,
            weights=transitions.desired_weights(rollout, run),
            end_cohorts=transitions.cohorts_to_end(rollout, run),
            preflight=False,
        )
        result = retried(lambda: routes.write_weights(self._cluster, options, self._context))
        self.show("canary_weight", result)
        if self._analysis is not None:
            self.late_failures, self._analysis = self._analysis.late_failures(), None

    def keep_analysis(self, analysis_run: AnalysisRun) -> None:
        """Keep the last analysis: its canary may fail requests until the proxies have the routes of the rollback."""
        self._analysis = analysis_run

    def _weights(self, *, forced: Sequence[str] = (), **given: t.Any) -> Result:
        run, rollout = self._session.run, self._session.rollout
        known = run.written and self._params["on_drift"] != "restore"
        options = self.options(
            routes.WEIGHT_SPEC,
            weights=transitions.desired_weights(rollout, run),
            expected=dict(run.written) if known else None,
            end_cohorts=transitions.cohorts_to_end(rollout, run),
            force=[*self._params["force"], *forced],
            **given,
        )
        result = routes.write_weights(self._cluster, options, self._context, self._before_write())
        self.warnings += result.get("warnings") or []
        self.show("canary_weight", result)
        return result

    def _before_write(self) -> Callable[[], None] | None:
        """Return the check that this run is still in progress; in check mode there is none to be in progress."""
        if self._context.check_mode:
            return None
        return active_run_check(self._cluster, self._service, self._session.run.id)

    # After the promotion, and after a rollback

    def keep_old_pods(self) -> None:
        """Wait before the old version is scaled down."""
        now, stable = time.monotonic(), self._session.rollout.stable
        ends, log_at = now + self._settings.retire_after, now
        while (left := ends - time.monotonic()) > 0:
            if time.monotonic() >= log_at:
                log_at += KEPT_LOG_EVERY
                self._context.log(f"The pods of {stable} stay for {left:.0f} s, for a way back")
            time.sleep(min(left, 0.5))

    def drain_old_version(self) -> None:
        """Wait until the old version gets no requests. Raises Refused if it still does: its pods stay."""
        stable = self._session.rollout.stable
        requests = self._drain(stable)
        if requests:
            raise Refused(
                f"{stable} still gets requests ({requests} in the last {self._settings.drain:g} s), so its pods stay. "
                "A cohort or a client without a proxy may send them: check with the playbook status, then run the "
                "rollout again. Everything else is promoted."
            )

    def drain_canary(self) -> None:
        """Wait until the canary gets no requests."""
        self._drain(self._session.rollout.canary)

    def scale_down_old_version(self) -> None:
        """Leave the old version its pods for a way back."""
        self._reduce(self._session.rollout.stable, self._settings.old_replicas or 0)

    def restore_min_replicas(self) -> None:
        """Restore minReplicas of the autoscalers, also those that a superseded rollout has raised."""
        options = self.options(capacity.SPEC, state="released")
        capacity.write_capacity(self._cluster, options, self._context)

    def remove_idle_pods(self) -> None:
        """Scale the baselines to zero. A failure is a warning: the next rollout removes leftover pods."""
        for version in self._session.idle_versions:
            try:
                found = checks.version(checks.versions_of(self._cluster, self._service, self.api, [version]), version)
                if not found.get("desired"):
                    continue
                if self._settings.drain == 0 or not self._drain(version):
                    self._reduce(version, 0)
            except CanaryError as error:
                self.warnings.append(f"The pods of the baseline {version} could not be removed: {error.msg}")

    def _reduce(self, version: str, pods: int) -> None:
        options = self.options(capacity.SPEC, state="reduced", version=version, pods=pods)
        capacity.write_capacity(self._cluster, options, self._context)

    def _drain(self, version: str) -> int | None:
        """Wait until no request to a version is counted; return the last count, None if they cannot be counted.

        Where the proxies of the callers cannot be read, only the time counts.
        """
        seconds = self._settings.drain
        ends = time.monotonic() + min(self._situation.step.deadline, MAX_DRAIN_SECONDS)
        params = {"proxy_sample": self._params["proxy_sample"], "route_api": self.api}
        params["istio_namespace"] = self._params["istio_namespace"]
        self._context.log(f"Waiting for the last request to {version}")
        while True:
            requests = requests_to(self._cluster, self._service, version, seconds, params)
            if not requests or time.monotonic() >= ends:
                break
        if requests is None:
            time.sleep(seconds)
        counted = "its requests could not be counted" if requests is None else f"{requests or 'no'} requests"
        self.drain_note = f"{version}: {counted}" + ("" if requests is None else f" in the last {seconds:g} s")
        return requests

    # Canaries by pods

    def scale_canary_share(self) -> None:
        """Give the canary the part of the pods that is its share of connections."""
        options = self._pod_options(share=self._situation.step.weight, **self._pod_shares())
        self.shift_message = str(replica_pods.write_pods(self._cluster, options, self._context)["msg"])

    def update_stable(self) -> None:
        """Update stable to the new image; a rolling update that fails is undone."""
        options = self._pod_options(state="updated", image=self._session.rollout.image, force=self._params["force"])
        replica_pods.write_pods(self._cluster, options, self._context)

    def remove_canary(self) -> None:
        """Remove the pods of the canary. A rollback retries it."""
        options = self._pod_options(state="absent")

        def remove() -> None:
            replica_pods.write_pods(self._cluster, options, self._context)

        if self._session.run.phase == "rolling_back":
            retried(remove)
        else:
            remove()

    def restore_image(self) -> None:
        """Restore the image of stable, after a run that was killed during its rolling update."""
        rollout, run = self._session.rollout, self._session.run
        deployment = retried(lambda: self._cluster.get(DEPLOYMENT, self._service.namespace, rollout.stable))
        if deployment is None or image_of(deployment, rollout.container) != rollout.image or not run.image_before:
            return
        options = self._pod_options(state="updated", image=run.image_before, preflight=False)
        retried(lambda: replica_pods.write_pods(self._cluster, options, self._context))

    def _pod_shares(self) -> Result:
        given = {name: self._params[name] for name in ("labels", "max_error", "force")}
        if self._context.check_mode or not self._session.stored.paused:  # what is paused is answered for
            given["force"] = [*given["force"], *self.gitops.answered]
        return {"image": self._session.rollout.image, **given}

    def _pod_options(self, **given: t.Any) -> Result:
        rollout, step = self._session.rollout, self._situation.step
        names = {"deployment": rollout.stable, "canary": rollout.canary, "container": rollout.container}
        return self.options(replica_pods.SPEC, **names, **{"wait_timeout": step.deadline, **given})

    @property
    def _situation(self) -> Situation:
        return Situation(self._session.rollout, self._session.run, self._settings)

    def options(self, spec: ArgSpec, **given: t.Any) -> Result:
        """Return the options of one part: the defaults, those that all parts share, and those given."""
        shared = {name: self._params[name] for name in ("service", "namespace", "cluster_domain", "istio_namespace")}
        return {**spec.defaults(), **shared, "route_api": self.api, **given}


def retried(work: Callable[[], T]) -> T:
    """Return what `work` returns, tried TRIES times; an error after which the rollout is another run's is final."""
    for left in reversed(range(TRIES)):
        try:
            return work()
        except CanaryError as error:
            if not left or error.code in LOST:
                raise
            time.sleep(PAUSE_BETWEEN_TRIES)
    raise RuntimeError("unreachable")


def _quiet(*_given: object) -> None:
    """Show nothing: a rehearsal is no event of the rollout."""
