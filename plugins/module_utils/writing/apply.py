# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one way a plan becomes a change: plan, refuse, (check mode stops here) write, wait.

With `preflight: false` and `wait: false` nothing to do costs one GET and a change one GET and one PATCH; a plan that
needs further lists reads those too. Several objects are all dry-run before the first is written, written in the
plan's order, and undone if one fails. Between writes that depend on each other (a subset, then the weight on it) the
proxies are waited for, whatever `wait` says: a weight must not arrive before its subset. With `wait` the proxies are
also asked, before a version first gets requests, whether they know a healthy endpoint of it.
"""

from __future__ import annotations

import datetime
import typing as t

from ..envoy.expected_routes import RoutedService
from ..errors import ApiError, CanaryError, Conflict, InvalidInput, NotAccepted, NotConverged, Refused
from ..findings import CATALOGUE
from ..mesh.convergence import Convergence, wait_for_endpoints, wait_for_proxies
from ..objects.metadata import last_write
from ..objects.snapshot import PLURALS
from ..preflight import inspection
from ..routing import kinds
from ..routing.new_destinations import defined_subsets, new_destinations
from ..task.reading import Reader, api_of, named_objects, scope_of
from . import rights
from .outcome import Outcome
from .route_status import new_problems
from .writer import Writer

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ..findings import Finding
    from ..kube.client import Cluster
    from ..objects.change import Change, Plan
    from ..objects.hosts import ServiceRef
    from ..objects.snapshot import Snapshot

    Decide = Callable[[Snapshot], Plan]
    Inspect = Callable[[Snapshot, Plan], list[Finding]]
    Log = Callable[[str], None]

PODS: t.Final = frozenset({"Deployment", "HorizontalPodAutoscaler"})
"""Kinds that do not concern a proxy."""
SETTLED: t.Final = datetime.timedelta(seconds=60)
"""The proxies are taken to have an object that was written longer ago: Istio pushes within seconds."""


class Application:
    """One task's change of one service's routes."""

    def __init__(
        self,
        cluster: Cluster,
        service: ServiceRef,
        decide: Decide,
        params: Mapping[str, t.Any],
        log: Log,
        reads: Collection[str],
        inspect: Inspect | None,
        pre_write_check: Callable[[], None] | None = None,
    ) -> None:
        self._cluster, self._service, self._decide, self._params, self._log = cluster, service, decide, params, log
        self._reads, self._inspect, self._pre_write_check = reads, inspect, pre_write_check
        self._writer = Writer(cluster, log)
        self._outcome = Outcome(service, params)
        self._name = f"{service.name} in {service.namespace}"
        self._what = "pods" if inspect else "routes"
        _check_force(params["force"])

    def run(self, *, check_mode: bool) -> dict[str, t.Any]:
        """Return the task's result. Raises CanaryError, with what was done and undone in its details."""
        try:
            snapshot, plan = self._plan()
            if check_mode:
                self._writer.dry_run(plan.changes)
                self._outcome.converged(Convergence("none", note="Check mode: nothing was written."))
            else:
                self._write(snapshot, plan)
        except CanaryError as error:
            if isinstance(error, ApiError) and error.status == 403:
                self._name_rights(error)
            error.details.update(self._outcome.failure(self._cluster, changed=self._writer.has_written))
            raise
        except Exception as defect:
            defect.changed = self._writer.has_written  # type: ignore[attr-defined]  # read by entry.execute
            raise
        changed = plan.changed if check_mode else self._writer.has_written
        return self._outcome.result(self._cluster, self._writer, changed=changed)

    def _name_rights(self, error: ApiError) -> None:
        """Add every missing right to the error, not only the one that was refused first."""
        found = rights.missing(self._cluster, self._service, self._outcome.changes)
        if found:
            error.details["findings"] = [one.as_dict() for one in found]
            error.msg += f" All missing rights for this change: {'; '.join(one.object for one in found)}."

    def _plan(self) -> tuple[Snapshot, Plan]:
        """Read and plan; refuse a plan that preflight finds wrong. A plan without changes needs no preflight."""
        preflight = self._params["preflight"]
        reader = Reader(self._cluster, self._service, wide=preflight, also=_namespaces(self._params))
        try:
            snapshot, plan = reader.decide(self._decide, self._reads)
        except Refused as refusal:
            useless = sorted({one.code for one in refusal.findings} & set(self._params["force"]))
            if useless:
                refusal.msg = (
                    f"{refusal.msg} force: [{', '.join(useless)}] has no effect here: nothing could be planned."
                )
            raise
        api = api_of(self._params)
        if api not in ("auto", plan.route_api):
            raise InvalidInput(f"route_api: {self._name} can only be changed by {plan.route_api} here, not by {api}.")
        self._outcome.planned(plan)
        if preflight and plan.changed:
            snapshot = self._preflight(reader, snapshot, plan)
            self._outcome.warn(reader.notes)
        return snapshot, plan

    def _preflight(self, reader: Reader, snapshot: Snapshot, plan: Plan) -> Snapshot:
        """Refuse what preflight finds wrong; return the snapshot it was found in."""
        if self._inspect:
            self._refuse(self._inspect(snapshot, plan))
            return snapshot
        wide = reader.snapshot(PLURALS.values(), if_allowed=True)
        wide = reader.snapshot(inspection.further_lists(wide.after(plan.changes), self._service), if_allowed=True)
        findings = inspection.inspect(
            wide,
            self._service,
            planned=wide.after(plan.changes),
            evidence=rights.evidence(self._cluster, wide, [self._service], {}),
            scope=scope_of(self._params),
            route_api=plan.route_api,
        )
        self._refuse(findings)
        return wide

    def _refuse(self, findings: list[Finding]) -> None:
        """Raise Refused for errors that are not forced; report warnings and forced errors."""
        self._outcome.found(findings)
        errors = [one for one in findings if one.severity == "error" and one.code not in self._params["force"]]
        reported = [one for one in findings if one.severity != "note" and one not in errors]
        self._outcome.warn(f"{one.code}: {one.object}: {one.reason}" for one in reported)
        if not errors:
            return
        shown = " ".join(f"[{one.code}] {one.object}: {one.reason} {one.as_dict()['remedy']}" for one in errors)
        codes = list(dict.fromkeys(one.code for one in errors))
        never = [code for code in codes if not CATALOGUE[code].forcible]
        way = f"{', '.join(never)} cannot be forced." if never else f"To override: force: [{', '.join(codes)}]"
        raise Refused(f"Refused to change the {self._what} of {self._name}, nothing was written: {shown} {way}", errors)

    def _write(self, snapshot: Snapshot, plan: Plan) -> None:
        """Write and wait. A failure undoes what was written before it; a proxy that is behind does not."""
        try:
            try:
                self._write_in_order(snapshot, plan)
            except Conflict as first:
                self._log(f"{first.msg} Reading and planning again.")
                snapshot, plan = self._plan()
                self._write_in_order(snapshot, plan)
        except NotConverged:
            raise
        except Conflict as second:
            conflict = Conflict(
                f"Conflict: the {self._what} of {self._name} were modified twice while this task was planning a "
                f"change. {second.msg}",
                **second.details,
            )
            raise self._writer.undone(conflict) from second
        except CanaryError as error:
            raise self._writer.undone(error) from error
        self._finish(snapshot, plan)

    def _write_in_order(self, snapshot: Snapshot, plan: Plan) -> None:
        changes = plan.changes
        if len(changes) > 1:
            self._writer.dry_run(changes)
        self._must_be_reachable(snapshot, plan)
        if changes and self._pre_write_check:
            self._pre_write_check()
        for index, change in enumerate(changes):
            self._writer.write(change)
            following = changes[index + 1 :]
            if following and following[0].kind != change.kind and change.kind not in PODS:
                self._must_converge(snapshot, plan, changes[: index + 1], f"before {following[0].object} is written")
        self._must_be_accepted(changes)

    def _must_be_accepted(self, changes: Sequence[Change]) -> None:
        """Raise NotAccepted, which undoes the change, where a parent of an HTTPRoute answers 500 to a part of it."""
        if not self._params["wait"]:
            return
        notes: list[str] = []
        found = new_problems(self._cluster, changes, notes)
        self._outcome.warn([*notes, *(f"{change.object}: {one}." for change, one in found if not one.answers_500)])
        refused = [f"{change.object}: {one}" for change, one in found if one.answers_500]
        if refused and "BACKEND_NOT_PERMITTED" not in self._params["force"]:
            raise NotAccepted(
                f"The routes of {self._name} were written, and their requests are answered 500: {'; '.join(refused)}. "
                "Correct what is named, then run the task again. To accept failing requests: "
                "force: [BACKEND_NOT_PERMITTED]."
            )
        self._outcome.warn(f"{one}." for one in refused)

    def _must_be_reachable(self, snapshot: Snapshot, plan: Plan) -> None:
        """Raise NotConverged, before anything is written, if a proxy would send requests where it knows no endpoint."""
        destinations = new_destinations(plan.changes, self._service.domain) if self._params["wait"] else ()
        if not destinations or "ENDPOINT_UNKNOWN_TO_PROXIES" in self._params["force"]:
            return
        kind = kinds.of_api(plan.route_api)
        before, after = self._routed(snapshot, plan), self._routed(snapshot.after(plan.changes), plan)
        seen = wait_for_endpoints(self._cluster, kind, before, after, self._params, self._log, destinations)
        if not seen.pending:
            return
        self._outcome.converged(seen)
        raise NotConverged(
            f"{len(seen.pending)} of {seen.proxies} proxies cannot reach the new destinations of {self._name} "
            f"after {self._params['wait_timeout']:g} s: {' | '.join(seen.pending[:3])}. Nothing was written. "
            "Check that the version's pods are ready and its subset is visible to these callers. If requests may fail: "
            "force: [ENDPOINT_UNKNOWN_TO_PROXIES]."
        )

    def _finish(self, snapshot: Snapshot, plan: Plan) -> None:
        self._outcome.warn(self._writer.warnings)
        if not self._params["wait"]:
            self._outcome.converged(Convergence("none", note="Not waited for (wait: false)."))
        elif not self._writer.written and self._is_settled(snapshot, plan):
            self._outcome.converged(
                Convergence("skipped", note=f"Nothing changed, and last written over {SETTLED.seconds} s ago.")
            )
        else:
            self._must_converge(snapshot, plan, plan.changes)

    def _routed(self, snapshot: Snapshot, plan: Plan) -> RoutedService:
        kind = kinds.of_api(plan.route_api)
        return RoutedService(self._service, snapshot, snapshot.select(plan.objects, kind.kinds))

    def _must_converge(self, snapshot: Snapshot, plan: Plan, changes: Sequence[Change], purpose: str = "") -> None:
        """Wait for what was written so far; raise NotConverged if a proxy is behind at the deadline."""
        kind = kinds.of_api(plan.route_api)
        before, after = self._routed(snapshot, plan), self._routed(snapshot.after(changes), plan)
        subsets = defined_subsets(changes)
        convergence = wait_for_proxies(self._cluster, kind, before, after, self._params, self._log, subsets)
        self._outcome.converged(convergence)
        if not convergence.pending:
            return
        if convergence.without_effect:
            self._without_effect(convergence)
            return
        raise NotConverged(
            f"{len(convergence.pending)} of {convergence.proxies} proxies do not have the routes of {self._name} after "
            f"{self._params['wait_timeout']:g} s{' ' + purpose if purpose else ''}: "
            f"{' | '.join(convergence.pending[:3])}. The change stays written. Run the task again to "
            "continue, or check istiod (istioctl proxy-status)."
        )

    def _without_effect(self, convergence: Convergence) -> None:
        """Proxies have the routes and do not act by them; whoever forced that hears of it, else the task fails."""
        what = (
            f"{len(convergence.pending)} of {convergence.proxies} proxies have the routes of {self._name}, which have "
            f"no effect there: {' | '.join(convergence.pending[:3])}."
        )
        if "ENDPOINT_CHOSEN_BY_CALLER" in self._params["force"]:
            self._outcome.warn([what])
            return
        raise NotConverged(
            f"{what} The change stays written. {CATALOGUE['ENDPOINT_CHOSEN_BY_CALLER'].remedy} "
            "To accept it: force: [ENDPOINT_CHOSEN_BY_CALLER]."
        )

    def _is_settled(self, snapshot: Snapshot, plan: Plan) -> bool:
        """Return whether all objects were written long ago; a killed run may not have waited."""
        now = self._cluster.server_time
        times = [last_write([obj]) for obj in snapshot.select(plan.objects)]
        return now is not None and all(time is not None and now - time > SETTLED for time in times)


def apply(
    cluster: Cluster,
    service: ServiceRef,
    decide: Decide,
    params: Mapping[str, t.Any],
    *,
    check_mode: bool,
    log: Log,
    reads: Collection[str] = (),
    inspect: Inspect | None = None,
    pre_write_check: Callable[[], None] | None = None,
) -> dict[str, t.Any]:
    """Write what `decide` plans, and return the task's result.

    decide: Snapshot -> Plan, called again on a conflict. reads: lists that it uses in addition to those that it needs.
    inspect: preflight of changes that are not about routes, in the lists that were read.
    pre_write_check: called right before the first write, after all waiting; it raises to refuse.
    """
    return Application(cluster, service, decide, params, log, reads, inspect, pre_write_check).run(
        check_mode=check_mode
    )


def _check_force(codes: list[str]) -> None:
    can_be = sorted(code for code, kind in CATALOGUE.items() if kind.severity == "error" and kind.forcible)
    unknown = sorted(set(codes) - set(CATALOGUE))
    if unknown:
        raise InvalidInput(
            f"force: there is no finding {', '.join(unknown)}. Codes that can be forced: {', '.join(can_be)}."
        )
    never = sorted(code for code in set(codes) if not CATALOGUE[code].forcible)
    if never:
        remedies = " ".join(f"{code}: {CATALOGUE[code].title}. {CATALOGUE[code].remedy}" for code in never)
        raise InvalidInput(f"force: {', '.join(never)} cannot be forced, because nothing can be planned. {remedies}")


def _namespaces(params: Mapping[str, t.Any]) -> list[str]:
    return [name.split("/", 1)[0] for name in named_objects(params) if "/" in name]
