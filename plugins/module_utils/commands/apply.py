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

from ..errors import ApiError, CanaryError, Conflict, InvalidInput, NotConverged, Refused
from ..findings import CATALOGUE
from ..routes import preflight
from ..routes.reach import newly_reached
from ..routes.snapshot import PLURALS, last_write
from . import rights
from .convergence import Convergence, wait_for_endpoints, wait_for_proxies
from .outcome import Outcome
from .reading import Reader, scope_of
from .writing import Writer

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ..cluster import Cluster
    from ..findings import Finding
    from ..routes.change import Change, Plan
    from ..routes.hosts import ServiceRef
    from ..routes.snapshot import Object, Snapshot

    Decide = Callable[[Snapshot], Plan]
    Inspect = Callable[[Snapshot, Plan], list[Finding]]
    Log = Callable[[str], None]

PODS: t.Final = frozenset({"Deployment", "HorizontalPodAutoscaler"})
"""Kinds that no proxy holds."""
SETTLED: t.Final = datetime.timedelta(seconds=60)
"""An object written longer ago is taken as held by the proxies: Istio's pushes take seconds."""


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
        last_look: Callable[[], None] | None = None,
    ) -> None:
        self._cluster, self._service, self._decide, self._params, self._log = cluster, service, decide, params, log
        self._reads, self._inspect, self._last_look = reads, inspect, last_look
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
            error.details.update(self._outcome.of_failure(self._cluster, changed=bool(self._writer.written)))
            raise
        except Exception as defect:
            defect.changed = bool(self._writer.written)  # type: ignore[attr-defined]  # read by entry.execute
            raise
        changed = plan.changed if check_mode else bool(self._writer.written)
        return self._outcome.result(self._cluster, self._writer, changed=changed)

    def _name_rights(self, error: ApiError) -> None:
        """Say every right that is missing, not only the one that was refused first."""
        found = rights.missing(self._cluster, self._service, self._outcome.changes)
        if found:
            error.details["findings"] = [one.as_dict() for one in found]
            error.msg += f" All that is missing for this: {'; '.join(one.object for one in found)}."

    def _plan(self) -> tuple[Snapshot, Plan]:
        """Read and compute; refuse what would do harm. A plan without changes needs no inspection."""
        looks = self._params["preflight"]
        reader = Reader(self._cluster, self._service, wide=looks, also=_namespaces(self._params))
        try:
            snapshot, plan = reader.decide(self._decide, self._reads)
        except Refused as refusal:
            useless = sorted({one.code for one in refusal.findings} & set(self._params["force"]))
            if useless:
                refusal.msg = (
                    f"{refusal.msg} force: [{', '.join(useless)}] is of no use here: nothing could be planned."
                )
            raise
        asked = self._params.get("route_api", "auto")
        if asked not in ("auto", plan.route_api):
            raise InvalidInput(f"route_api: {self._name} can only be changed by {plan.route_api} here, not by {asked}.")
        self._outcome.planned(plan)
        if looks and plan.changed:
            snapshot = self._look(reader, snapshot, plan)
            self._outcome.warn(reader.notes)
        return snapshot, plan

    def _look(self, reader: Reader, snapshot: Snapshot, plan: Plan) -> Snapshot:
        """Refuse what would do harm; return what is known now."""
        if self._inspect:
            self._refuse(self._inspect(snapshot, plan))
            return snapshot
        wide = reader.snapshot(PLURALS.values(), if_allowed=True)
        findings = preflight.inspect(
            wide,
            self._service,
            planned=wide.after(plan.changes),
            evidence=rights.evidence(self._cluster, wide, [self._service], {}),
            scope=scope_of(self._params),
        )
        self._refuse(findings)
        return wide

    def _refuse(self, findings: list[Finding]) -> None:
        """Raise Refused for errors that are not forced; say warnings, and errors that are."""
        self._outcome.found(findings)
        errors = [one for one in findings if one.severity == "error" and one.code not in self._params["force"]]
        spoken = [one for one in findings if one.severity != "note" and one not in errors]
        self._outcome.warn(f"{one.code}: {one.object}: {one.reason}" for one in spoken)
        if not errors:
            return
        shown = " ".join(f"[{one.code}] {one.object}: {one.reason} {one.as_dict()['remedy']}" for one in errors)
        codes = list(dict.fromkeys(one.code for one in errors))
        never = [code for code in codes if not CATALOGUE[code].forcible]
        way = (
            f"{', '.join(never)} cannot be forced." if never else f"To do it nevertheless: force: [{', '.join(codes)}]"
        )
        raise Refused(f"Refused to change the {self._what} of {self._name}, nothing was written: {shown} {way}", errors)

    def _write(self, snapshot: Snapshot, plan: Plan) -> None:
        """Write and wait. What was written before a failure is put back; a proxy that lags is no reason to."""
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
            said = Conflict(
                f"Somebody else keeps changing the {self._what} of {self._name}: planned twice, and both times the "
                f"object had changed before it was written. {second.msg}",
                **second.details,
            )
            raise self._writer.undone(said) from second
        except CanaryError as error:
            raise self._writer.undone(error) from error
        self._finish(snapshot, plan)

    def _write_in_order(self, snapshot: Snapshot, plan: Plan) -> None:
        changes = plan.changes
        if len(changes) > 1:
            self._writer.dry_run(changes)
        self._must_be_reachable(snapshot, plan)
        if changes and self._last_look:
            self._last_look()
        for index, change in enumerate(changes):
            self._writer.write(change)
            following = changes[index + 1 :]
            if following and following[0].kind != change.kind and change.kind not in PODS:
                self._must_converge(snapshot, changes[: index + 1], f"before {following[0].object} is written")

    def _must_be_reachable(self, snapshot: Snapshot, plan: Plan) -> None:
        """Raise NotConverged, before anything is written, if a proxy would send requests where it knows no endpoint."""
        places = newly_reached(plan.changes, self._service.domain) if self._params["wait"] else ()
        if not places or "SUBSET_NOT_READY" in self._params["force"]:
            return
        later = snapshot.after(plan.changes)
        http_routes = later.those(plan.objects, "HTTPRoute")
        seen = wait_for_endpoints(
            self._cluster, self._service, (snapshot, later), self._params, self._log, places, http_routes
        )
        if not seen.pending:
            return
        self._outcome.converged(seen)
        raise NotConverged(
            f"{len(seen.pending)} of {seen.proxies} proxies cannot send requests of {self._name} where they are to go, "
            f"after {self._params['wait_timeout']:g} s: {' | '.join(seen.pending[:3])}. Nothing was written. Look "
            "whether the version's pods are ready and its subset is visible to these callers; if requests may fail, "
            "force: [SUBSET_NOT_READY]."
        )

    def _finish(self, snapshot: Snapshot, plan: Plan) -> None:
        self._outcome.warn(self._writer.surprises)
        if not self._params["wait"]:
            self._outcome.converged(Convergence("none", note="Not waited for (wait: false)."))
        elif not self._writer.written and self._is_settled(snapshot, plan):
            self._outcome.converged(
                Convergence("skipped", note=f"Nothing changed, and last written over {SETTLED.seconds} s ago.")
            )
        else:
            http_routes = snapshot.after(plan.changes).those(plan.objects, "HTTPRoute")
            self._must_converge(snapshot, plan.changes, http_routes=http_routes)

    def _must_converge(
        self, before: Snapshot, changes: Sequence[Change], purpose: str = "", http_routes: Sequence[Object] = ()
    ) -> None:
        """Wait for what was written so far; raise NotConverged if a proxy is behind at the deadline."""
        snapshots = (before, before.after(changes))
        convergence = wait_for_proxies(
            self._cluster, self._service, snapshots, self._params, self._log, _subsets_in(changes), http_routes
        )
        self._outcome.converged(convergence)
        if not convergence.pending:
            return
        raise NotConverged(
            f"{len(convergence.pending)} of {convergence.proxies} proxies do not hold the routes of {self._name} after "
            f"{self._params['wait_timeout']:g} s{' ' + purpose if purpose else ''}: "
            f"{' | '.join(convergence.pending[:3])}. What was written stays written; run the task again to go on, or "
            "look at istiod (istioctl proxy-status)."
        )

    def _is_settled(self, snapshot: Snapshot, plan: Plan) -> bool:
        """Return whether all objects were written long ago; a killed run may have left before waiting."""
        now = self._cluster.server_time
        times = [last_write([obj]) for obj in snapshot.those(plan.objects)]
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
    last_look: Callable[[], None] | None = None,
) -> dict[str, t.Any]:
    """Return the result of making what `decide` plans true.

    decide: Snapshot -> Plan, called again on a conflict. reads: lists it wants beside those it cannot do without.
    inspect: what preflight looks for where no routes are concerned, in the lists that were read.
    last_look: called right before the first write, when all waiting is over; what it raises is a refusal.
    """
    return Application(cluster, service, decide, params, log, reads, inspect, last_look).run(check_mode=check_mode)


def _check_force(codes: list[str]) -> None:
    can_be = sorted(code for code, kind in CATALOGUE.items() if kind.severity == "error" and kind.forcible)
    unknown = sorted(set(codes) - set(CATALOGUE))
    if unknown:
        raise InvalidInput(f"force: there is no finding {', '.join(unknown)}. To be forced are: {', '.join(can_be)}.")
    never = sorted(code for code in set(codes) if not CATALOGUE[code].forcible)
    if never:
        told = " ".join(f"{code}: {CATALOGUE[code].title}. {CATALOGUE[code].remedy}" for code in never)
        raise InvalidInput(f"force: {', '.join(never)} cannot be forced, for nothing could be planned. {told}")


def _namespaces(params: Mapping[str, t.Any]) -> list[str]:
    return [name.split("/", 1)[0] for name in params.get("virtual_services") or () if "/" in name]


def _subsets_in(changes: Sequence[Change]) -> set[str]:
    """Return the subsets that the written DestinationRules define."""
    rules = [change.after for change in changes if change.kind == "DestinationRule" and change.after]
    return {str(subset["name"]) for rule in rules for subset in rule["spec"].get("subsets") or ()}
