# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One service of a release in one cluster: its rollout, conducted as canary_rollout conducts it, from point to point.

Each service keeps its own record and lock, so canary_rollout and its playbooks work on it as on any other rollout.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from ..errors import CanaryError, Refused
from ..objects.weights import TOLERANCE
from ..release.in_step import POINTS, Position, position
from ..rollout import result_line
from ..task.context import Terminal
from ..task.reading import service_of
from . import checks, report
from .conductor import Conductor
from .lock import RUN, Lease
from .opening import read_state
from .record_store import RunStore
from .rollback import Rollback

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..kube.client import Cluster
    from ..release.data import Entry
    from ..task.context import Context
    from .record_store import Stored

    Result = dict[str, t.Any]

NO_DIGEST: t.Final = "none"
"""The digest of no record: a rollout that this playbook has begun before is resumed, as after an interruption."""
ROLLED_BACK: t.Final = "rolled_back"
NOT_BEGUN: t.Final = "not_begun"
PROMOTED: t.Final = "promoted"
FAILED: t.Final = "failed"


@dataclass
class Outcome:
    """What became of a service. result: see RETURN of canary_release. msg: a sentence."""

    result: str
    msg: str
    changed: bool = False
    warnings: list[str] = field(default_factory=list)


class Member:
    """A service of the release. params: of canary_rollout, complete. result: of its last call, {} before the first.

    digest: of its record where an earlier task of this playbook returned, by which it goes on; empty for none.
    is_new: whether this task has begun its rollout. interrupt: called where the rollout waits; it raises what ends the
    wait. show: takes a line about the service.
    """

    def __init__(
        self,
        cluster: Cluster,
        entry: Entry,
        params: Mapping[str, t.Any],
        context: Context,
        *,
        interrupt: Callable[[], None],
        show: Callable[[str], None],
    ) -> None:
        self.entry, self.key = entry, entry.key
        self._cluster, self._params = cluster, params
        self._interrupt, self._show_line = interrupt, show
        self._service, self._outer = service_of(params), context
        self._context = replace(context, show=self._show, log=self._log, terminal=Terminal(False, self._waits))
        self.result: Result = {}
        self.digest = ""
        self.is_new = self.changed = False
        self.warnings: list[str] = []

    @property
    def position(self) -> Position:
        """Return where it stands. Raises ValueError if it is not on its way to the new version."""
        return position(self.result["next"], self.result["run"]["at"])

    @property
    def is_on_its_way(self) -> bool:
        """Return whether it goes on, or has all requests on the new version."""
        point, phase = self.result.get("next"), (self.result.get("run") or {}).get("phase")
        return phase == "promoted" or bool(point and point != "before_rollback")

    def advance(self, *, to_the_end: bool = False) -> None:
        """Go on to the next point; `result` says where it stands then. Raises CanaryError, Stop.

        to_the_end: promote it completely, with the old pods as old_replicas says.
        """
        digest = self.digest or NO_DIGEST
        params = {**self._params, "record_digest": digest, "return_at": [] if to_the_end else list(POINTS)}
        conductor = Conductor(self._cluster, self._service, self._lease(params), params, self._context)
        begins = not self.result
        try:
            self.result = conductor.run()
            session = conductor.session
            self.is_new = self.is_new or (begins and not session.resumed and not session.continued)
            self.digest = str(self.result.get("record_digest") or "")
        except CanaryError as error:
            self.changed |= bool(error.details.get("changed")) or error.maybe_written
            raise
        finally:
            self.changed |= conductor.changed
            self.warnings += [one for one in conductor.warnings if one not in self.warnings]

    def resume(self) -> None:
        """Begin or resume its rollout, as `advance` does; one that has all requests on the new version stays there.

        The routes prove that, whoever wrote the record. Raises CanaryError, Stop.
        """
        stored = None if self.digest else self._shifted()
        if stored is None:
            self.advance()
        else:
            self.result = {**report.result(stored, ("", ""), stored.run.since), "next": "on_promote"}

    def _shifted(self) -> Stored | None:
        """Return the record of its rollout if all its requests go to the new version, by the routes."""
        stored = self._store().read()
        is_shifted = stored is not None and self._is_ours(stored) and _is_promoting(stored)
        return stored if stored is not None and is_shifted and not self._why_not_shifted(stored) else None

    def check(self) -> Result:
        """Return what its rollout would do, as canary_rollout does in check mode. Raises CanaryError."""
        quiet = replace(self._context, check_mode=True)
        params = {**self._params, "record_digest": ""}
        conductor = Conductor(self._cluster, self._service, self._lease(params), params, quiet)
        result = conductor.run()
        self.warnings += conductor.warnings
        if self._shifted() is not None:
            stays = f"{self.entry.service}: all requests are on {self.entry.canary}, and stay there"
            return {**result, "msg": stays, "plan_text": [stays], "planned_changes": [], "changed": False}
        return result

    def release(self) -> None:
        """Release its lock; the record stays as it is. A failure is a warning, for the lock expires."""
        try:
            self._lease(self._params).release()
        except CanaryError as error:
            self.warnings.append(f"{self.key}: the lock could not be released; it expires. {error.msg}")

    def roll_back(self, note: str, *, also_promoted: bool = False) -> Outcome:
        """Give all requests back to stable if a rollout to the new version has begun.

        also_promoted: also where it has ended with a promotion. Raises CanaryError if it cannot be rolled back.
        """
        stored = self._stored_or_none()
        if stored is not None and not self._is_ours(stored):
            other = f"{stored.rollout.stable} -> {stored.rollout.canary}"
            return Outcome(NOT_BEGUN, f"its last rollout is another one ({other}), so nothing was changed")
        if stored is None and not self._canary_has_requests():
            return Outcome(NOT_BEGUN, "no rollout is recorded, and the new version has no requests")
        if stored is not None and stored.run.phase == "rolled_back":
            return Outcome(ROLLED_BACK, "it was rolled back before")
        if stored is not None and stored.run.phase == "promoted" and not also_promoted:
            return Outcome(PROMOTED, "it was promoted before this release, and stays")
        params = {**self._params, "state": "rolled_back", "canary": "", "note": note}
        quiet = replace(self._context, terminal=Terminal(False))
        work = Rollback(self._cluster, self._service, self._lease(params), params, quiet)
        try:
            result = work.run()
        finally:
            self.changed |= work.changed
        return Outcome(ROLLED_BACK, str(result["msg"]), work.changed, work.warnings)

    def check_finished(self) -> str:
        """Return why its old pods may not go, empty if they may. The routes decide, the record alone does not."""
        stored = self._store().read()
        if stored is None or not self._is_ours(stored):
            return f"no rollout of {self.entry.canary} is recorded"
        if stored.run.phase == "promoted":
            return ""
        if not _is_promoting(stored):
            return f"its rollout is {stored.run.phase.replace('_', ' ')}, not on the new version"
        return self._why_not_shifted(stored)

    def _why_not_shifted(self, stored: Stored) -> str:
        """Return why not all requests go to the new version, empty if they do, by the routes."""
        found = read_state(self._cluster, self._service, stored.rollout, self._params["route_api"]).weights
        share, wanted = found.get(self.entry.canary, 0.0), stored.rollout.weights(100.0)[self.entry.canary]
        if abs(share - wanted) > TOLERANCE:
            return f"{self.entry.canary} has {share:g}% of the requests instead of {wanted:g}%"
        return ""

    def finish(self) -> None:
        """Finish the promotion; `check_finished` has allowed it. Raises CanaryError."""
        stored = self._store().read()
        if stored is not None and stored.run.phase == "promoted":
            self.result = report.result(stored, ("", ""), stored.run.since)
            return
        self._lease(self._params).take()
        stored = self._store().read()
        self.digest = "" if stored is None else self._store().digest(stored)
        self.advance(to_the_end=True)

    def stands(self) -> Result:
        """Return where it stands: `{result, msg, step, steps, weight, holder, rollout}`. Raises CanaryError."""
        weight = self._canary_now().get("weight")
        stored = self._store().read()
        run = None if stored is None or not self._is_ours(stored) else stored.run
        return {
            "result": run.phase if run else NOT_BEGUN,
            "step": run.at + 1 if run else 0,
            "steps": len(stored.rollout.steps) if stored is not None and run else 0,
            "weight": weight,
            "msg": run.reason if run else "",
            "holder": self._lease(self._params).holder()[0],
            "rollout": run.id if run else "",
        }

    def _is_ours(self, stored: Stored) -> bool:
        return (stored.rollout.stable, stored.rollout.canary) == (self.entry.stable, self.entry.canary)

    def _stored_or_none(self) -> Stored | None:
        """Return the record, None without a readable one: the routes show whether there is something to roll back."""
        try:
            return self._store().read()
        except Refused as error:
            self.warnings.append(error.msg)
            return None

    def _canary_has_requests(self) -> bool:
        """Return whether the new version has requests although its record is gone or unreadable."""
        if not self.warnings or not self._store().exists():
            return False
        found = self._canary_now()
        return bool(found.get("weight") or found.get("cohorts"))

    def _canary_now(self) -> Mapping[str, t.Any]:
        """Return the canary as canary_info describes it, {} if the service has no such version."""
        named = (self.entry.stable, self.entry.canary)
        versions = checks.versions_of(self._cluster, self._service, self._params["route_api"], named)
        return checks.version(versions, self.entry.canary)

    def _store(self) -> RunStore:
        return RunStore(self._cluster, self._service, self._params.get("record_key") or "")

    def _lease(self, params: Mapping[str, t.Any]) -> Lease:
        run = self._context.env.get(RUN, "")
        return Lease(self._cluster, self._service, params["lease_seconds"], params["holder"], run=run)

    def _waits(self) -> bool:
        self._interrupt()
        return False

    def _show(self, module: str, part: Mapping[str, t.Any]) -> None:
        line = str(part["text"]) if "text" in part else result_line.line(module, part)
        if line:
            prefix = "" if line.startswith(self.entry.service) else f"{self.entry.service} | "
            self._show_line(f"{prefix}{line}")

    def _log(self, text: str) -> None:
        self._outer.log(f"{self.entry.service} | {text}")


def _is_promoting(stored: Stored) -> bool:
    """Return whether all steps are behind it, as its record says."""
    return "promoting" in (stored.run.phase, stored.run.stopped_in)
