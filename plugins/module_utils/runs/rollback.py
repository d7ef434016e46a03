# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All requests back to stable, from anywhere: with a rollout under way, with an unreadable record, or with none."""

from __future__ import annotations

import typing as t

from ..errors import CanaryError, Conflict, InvalidInput
from ..rollout import cohort
from ..writing import routes
from . import checks
from .all_requests import AllRequests

if t.TYPE_CHECKING:
    Result = dict[str, t.Any]
    Versions = list[dict[str, t.Any]]

WAIT_FOR_PODS: t.Final = 60.0
_FORCED: t.Final = ("CAPACITY_BELOW_SHARE", "ENDPOINT_CHOSEN_BY_CALLER")
"""The pods were requested before, and the load of a broken version does not show what stable needs.

Where proxies do not apply the weights, the weights in the routes are rolled back all the same.
"""


class Rollback(AllRequests):
    """One task with state rolled_back."""

    def run(self) -> Result:
        """Roll back, and return the result. Raises CanaryError."""
        try:
            under_way = self._is_under_way()
        except CanaryError as error:
            if self._params["canary"]:  # whether that canary is under way is the question
                raise
            under_way = False
            self._tell_not_aborted(error)
        canary = self._params["canary"]
        if canary and not (under_way and self.session.rollout.canary == canary):
            summary = self.session.result()["msg"]
            return self._result(f"No rollout of {canary} is under way, so nothing was changed. {summary}")
        if under_way and self.session.rollout.by_pods:
            return self._by_pods()
        return self._by_routes(under_way=under_way)

    def _is_under_way(self) -> bool:
        """Read the record; return whether it has a rollout that is not over, or was stopped."""
        if not self.session.store.exists():
            return False
        self.session.load()
        return self.session.run.phase not in ("promoted", "rolled_back")

    def _by_pods(self) -> Result:
        """Remove the canary's pods, and restore the image of stable."""
        rollout = self.session.rollout
        if self._context.check_mode:
            self._changed = True
            summary = self.session.result()["msg"]
            return self._result(
                f"The pods of {rollout.canary} would be removed; {rollout.stable} serves alone. {summary}"
            )
        self.session.abort(self._note)
        self._changed = True
        self._actions.remove_canary()
        self._actions.restore_image()
        self._record_end()
        self._resume_gitops()
        return self._result(f"The pods of {rollout.canary} are removed; {rollout.stable} serves alone.")

    def _by_routes(self, *, under_way: bool) -> Result:
        """Give stable its pods, then all requests; then record it and restore minReplicas."""
        versions = self._versions()
        stable = self._stable(versions)
        if not self._context.check_mode:
            self._abort(under_way=under_way)
        self._scale_up_stable(versions, stable)
        self._shift(stable, forced=_FORCED)
        if under_way and not self._context.check_mode:
            self._record_end(stable)
        self._end_cohorts(versions)
        self._restore_min_replicas(versions)
        self._resume_gitops()
        return self._result()

    def _resume_gitops(self) -> None:
        """Resume the GitOps tools that a rollout has paused, with or without a record of it."""
        if self._context.check_mode:
            return
        try:
            self._messages += self._actions.gitops.end()
        except CanaryError as error:
            self._warn(f"A GitOps tool may still be paused. Run the playbook rollback again. {error.msg}")
        self._changed |= self._actions.gitops.changed

    def _stable(self, versions: Versions) -> str:
        """Return the version to roll back to: the one named, or the one that the routes prove.

        Raises InvalidInput where it is unknown.
        """
        names = [str(one["version"]) for one in versions if one.get("version")]
        named = str(self._params["stable"] or "")
        if named in names:
            return named
        where = f"{self._service.namespace}/{self._service.name}"
        problem, recorded = f"{where} has no version {named}.", ""
        if not named:
            recorded = self._recorded(versions)
            found = self._proven(versions, recorded)
            if found in names:
                self._messages.append(
                    f"The stable version of the last rollout is {found}."
                    if found == recorded
                    else f"The stable version is {found}: it had most requests before the routes were changed."
                )
                return found
            problem = f"{where}: the stable version is unknown. {_why_unknown(recorded)}".rstrip()
        example = recorded if recorded in names else next(iter(names), "")
        remedy = (
            f"Set one of the versions {', '.join(names)}, for example -e stable={example} (stable: {example})."
            if names
            else "It has no routes. To end a canary by pods, run the playbook replica_canary with -e state=absent; to "
            "restore an image, run rolling_update."
        )
        raise InvalidInput(f"stable: {problem} {remedy}")

    def _recorded(self, versions: Versions) -> str:
        """Return the stable version of the last rollout, if that was about the versions that serve now."""
        try:
            rollout = self.session.rollout
        except CanaryError:
            return ""
        serving = _serving(versions)
        return rollout.stable if serving <= {rollout.stable, rollout.canary} else ""

    def _proven(self, versions: Versions, recorded: str) -> str:
        """Return the stable version that does not depend on what others can write into the record, "" if none is known.

        It had most requests before the routes were changed; or it serves beside the canary that the command names; or
        the record is signed. recorded: the stable version of the record, "" if it is about other versions.
        """
        if recorded and self.session.signed:
            return recorded
        if recorded and _serving(versions) == {recorded, self._params["canary"]}:
            return recorded
        try:
            before = checks.weights_before(self._cluster, self._service, self._actions.api, self._named())
        except CanaryError:  # such as a state of the routes that cannot be read
            return ""
        largest = max(before.values(), default=0.0)
        most = [name for name, percent in before.items() if percent == largest and percent]
        changed = {name for name, percent in before.items() if percent} != _serving(versions)
        found = most[0] if len(most) == 1 else ""
        return found if found == recorded or (changed and not recorded) else ""

    def _abort(self, *, under_way: bool) -> None:
        """Abort the rollout first: its run must not raise the share again. The rollback does not depend on it."""
        if not under_way:
            return
        try:
            self.session.abort(self._note)
        except CanaryError as error:
            self._tell_not_aborted(error)

    def _tell_not_aborted(self, error: CanaryError) -> None:
        self._messages.append(
            "A rollout that may be under way could not be aborted. Make sure that its playbook does not run any more: "
            f"{error.msg}"
        )

    def _scale_up_stable(self, versions: Versions, stable: str) -> None:
        """Give stable its pods; what does not become ready in time is a warning."""
        try:
            self._scale_up(versions, stable, WAIT_FOR_PODS)
        except CanaryError as error:
            self._changed |= bool(error.details.get("changed"))
            self._warn(f"{error.msg} The rollback continues with the pods that are ready.")

    def _record_end(self, stable: str = "") -> None:
        """Record the end and release the lock. A run that was still alive may have written after the rollback."""
        try:
            if self.session.run.phase == "rolling_back":
                try:
                    self._record_done()
                except Conflict:
                    if not stable:
                        raise
                    self._shift(stable, forced=_FORCED)
                    self._record_done()
            self.session.release()
        except CanaryError as error:
            self._warn(
                "All requests are back on the stable version, but the rollout could not be recorded as ended: "
                f"{error.msg}"
            )

    def _record_done(self) -> None:
        self.session.forget_routes()
        self.session.apply("done", note=self._note)
        self.session.save()

    def _end_cohorts(self, versions: Versions) -> None:
        """Remove the cohorts of the user if that was requested, and say which are left otherwise."""
        names = sorted({name for one in versions for name in one.get("cohorts") or {} if name != cohort.NAME})
        if names and not self._params["cohorts"]:
            self._messages.append(
                f"The cohorts {', '.join(names)} keep their own weights; -e cohorts=true (cohorts: true) removes them "
                "too."
            )
            return
        for name in names:
            options = self._actions.options(routes.COHORT_SPEC, name=name, state="absent")
            result = routes.write_cohort(self._cluster, options, self._context)
            self._changed |= bool(result["changed"])
            self._messages.append(str(result["msg"]))

    @property
    def _note(self) -> str:
        return str(self._params["note"] or "rolled back by canary_rollout")

    def _warn(self, sentence: str) -> None:
        self._warnings.append(sentence)
        self._messages.append(sentence)


def _why_unknown(recorded: str) -> str:
    return recorded and (
        f"The record of the last rollout says {recorded}, but others can write it, and the routes do not prove it: "
        "they do not show that this version had most requests before they were changed."
    )


def _serving(versions: Versions) -> set[str]:
    """Return the versions that have requests."""
    return {one["version"] for one in versions if one.get("weight")}
