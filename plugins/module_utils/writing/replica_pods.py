# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pods of a canary by pod ratio, and updates in place: write, wait, and undo what does not become ready."""

from __future__ import annotations

import functools
import time
import typing as t

from ..errors import CanaryError, RolloutFailed
from ..objects.hosts import ServiceRef
from ..objects.workloads import hpa_of
from ..preflight import deployments
from ..replicas import replica_canary
from ..replicas.canary_status import record_of
from ..replicas.deployment_pair import Pair, Wanted, find_pair
from ..replicas.results import combined
from ..task.argument_spec import WRITE, ArgSpec
from .apply import apply
from .deployment_wait import DeploymentWait

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..kube.client import Cluster
    from ..objects.change import Change, Plan
    from ..objects.snapshot import Snapshot
    from ..task.context import Context

    Planner = Callable[[Snapshot, ServiceRef, Wanted], Plan]

E = t.TypeVar("E", bound=CanaryError)

SPEC: t.Final = ArgSpec(
    {
        "service": {"type": "str", "required": True},
        "namespace": {"type": "str", "required": True},
        "deployment": {"type": "str", "default": ""},
        "canary": {"type": "str", "default": ""},
        "container": {"type": "str", "default": ""},
        "image": {"type": "str", "default": ""},
        "share": {"type": "float"},
        "replicas": {"type": "int"},
        "total": {"type": "int"},
        "max_error": {"type": "float"},
        "labels": {"type": "dict", "default": {}},
        "state": {"type": "str", "default": "present", "choices": ["present", "updated", "promoted", "absent"]},
        "preflight": WRITE["preflight"],
        "force": WRITE["force"],
        "wait": {"type": "bool", "default": True},
        "wait_timeout": {"type": "float", "default": 300.0},
    },
    mutually_exclusive=[("share", "replicas"), ("total", "replicas")],
    required_by={"total": ["share"]},
    required_if=[("state", "present", ["share", "replicas"], True), ("state", "updated", ["image"])],
)
_NOTHING_ROUTED: t.Final = {"wait": False, "return_object": False}


def write_pods(cluster: Cluster, params: Mapping[str, t.Any], context: Context) -> dict[str, t.Any]:
    """Bring canary and stable to the requested state; return the task's result. params: see SPEC."""
    task = _Task(cluster, params, context.check_mode, context.log)
    try:
        task.run()
    except CanaryError as error:
        raise task.with_what_stays(error) from error
    except Exception as defect:
        defect.changed = task.has_written  # type: ignore[attr-defined]  # read by entry.execute
        raise
    return task.result()


class _Task:
    """One task: its plans are written one after the other, each rolled out before the next."""

    def __init__(
        self, cluster: Cluster, params: Mapping[str, t.Any], check_mode: bool, log: Callable[[str], None]
    ) -> None:
        self._cluster, self._params, self._check_mode, self._log = cluster, params, check_mode, log
        self._service = ServiceRef(params["service"], params["namespace"])
        names = ("deployment", "canary", "container", "image", "total")
        how_much = ("share", "replicas") if params["state"] == "present" else ()
        self._wanted = Wanted(
            **{name: params[name] for name in (*names, *how_much)},
            labels={str(key): str(value) for key, value in params["labels"].items()},
            promotes=params["state"] == "promoted",
            max_error=None if (params["max_error"] or 0) >= 100 else params["max_error"],  # no share is further off
        )
        self._deployments = DeploymentWait(cluster, params["namespace"], log)
        self._done: list[dict[str, t.Any]] = []
        self._pair: Pair | None = None
        self._hpa = ""
        self._plan: Plan | None = None

    @property
    def has_written(self) -> bool:
        """Return whether something was written, even if it was rolled back since."""
        return not self._check_mode and any(one["changed"] for one in self._done)

    def run(self) -> None:
        """Do what the state asks for."""
        state = self._params["state"]
        if state == "present":
            self.present()
        if state in ("updated", "promoted"):
            self.update_stable()
        if state in ("absent", "promoted"):
            self.remove_canary()

    def present(self) -> None:
        """Give the canary its image and pods; roll back if they do not become ready.

        What stable has too many of a total, given or chosen, goes last, when the canary's pods are ready.
        """
        self._share_pods()
        by_total = self._wanted.total is not None or self._wanted.max_error is not None
        if by_total and self._params["wait"] and not self._check_mode:
            self._share_pods()

    def _share_pods(self) -> None:
        self._apply(replica_canary.plan_present, looks=True)
        stable = self._known.stable["metadata"]["name"]
        scaled = any(change.name == stable for change in self._changes)
        self._roll_out(self._known.canary_name, *([stable] if scaled else []))

    def update_stable(self) -> None:
        """Let stable take the image, the canary's if none is named; go back if the pods do not become ready."""
        self._apply(replica_canary.plan_updated, looks=True)
        self._roll_out(self._known.stable["metadata"]["name"])

    def remove_canary(self) -> None:
        """Delete the canary and wait until its pods have ended, or give it back to those who made it."""
        self._apply(replica_canary.plan_absent)
        change = next((one for one in self._changes if one.name == self._known.canary_name), None)
        if change is None or change.before is None or self._check_mode or not self._params["wait"]:
            return
        if change.after is not None:
            self._roll_out(change.name)
            return
        left = self._deployments.wait_gone(change.before["spec"]["selector"], self._params["wait_timeout"])
        if left:
            raise self._with_details(
                RolloutFailed(
                    f"{change.object} is deleted, but {left} of its pods have not terminated after "
                    f"{self._params['wait_timeout']:g} s. If they do not terminate, check their finalizers "
                    "and nodes."
                )
            )

    def result(self) -> dict[str, t.Any]:
        """Return what the task did, all its plans together."""
        return combined(self._done, self._known, self._wanted, self._hpa, self._deployments.progress)

    @property
    def _known(self) -> Pair:
        if self._pair is None:
            raise RuntimeError("the Deployments are known only after a plan was made")
        return self._pair

    @property
    def _changes(self) -> Sequence[Change]:
        return self._plan.changes if self._plan else ()

    def _apply(self, planner: Planner, *, looks: bool = False) -> None:
        """Write what `planner` plans. looks: after preflight, which would be in the way of going back."""

        def decide(snapshot: Snapshot) -> Plan:
            self._plan = planner(snapshot, self._service, self._wanted)
            self._pair = find_pair(snapshot, self._service, self._wanted)
            hpa = hpa_of(snapshot, self._pair.stable)
            self._hpa = hpa["metadata"]["name"] if hpa else ""
            return self._plan

        given = {**self._params, **_NOTHING_ROUTED, "preflight": looks and self._params["preflight"]}
        done = apply(
            self._cluster,
            self._service,
            decide,
            given,
            check_mode=self._check_mode,
            log=self._log,
            reads=("services", "deployments", "hpas"),
            inspect=lambda snapshot, plan: deployments.inspect(snapshot, self._service, self._wanted, plan),
        )
        self._done.append({**done, "summary": self._plan.summary if self._plan else ()})

    def _roll_out(self, *names: str) -> None:
        """Wait for Deployments; roll back what this task wrote if their pods do not become ready."""
        if self._check_mode or not self._params["wait"]:
            return
        seconds, began = self._params["wait_timeout"], time.monotonic()
        for name in names:
            if self._deployments.wait(name, max(0.0, began + seconds - time.monotonic())):
                continue
            took = time.monotonic() - began
            why = "; ".join(self._deployments.problems(name))
            result = f"{name} in {self._service.namespace} was not rolled out after {took:.0f} s: {why}."
            raise self._with_details(RolloutFailed(f"{result} {self._roll_back(name, seconds)}"))

    def _roll_back(self, name: str, seconds: float) -> str:
        """Undo the changes of the last plan, the last one first, and return what came of it."""
        changes = self._changes
        if not changes:
            return self._undone(name, seconds)
        result = [self._roll_back_one(change, seconds) for change in reversed(changes)]
        if len(changes) == 1 and changes[0].before is None:
            result.append("The stable Deployment was not changed.")
        return " ".join(result)

    def _undone(self, name: str, seconds: float) -> str:
        """Go back from what an earlier run has written, which was killed before it could, and return what came of it.

        Only from a template whose pods have never all been ready; what was once rolled out fails for another reason.
        """
        undo = f"kubectl -n {self._service.namespace} rollout undo deployment/{name}"
        by_hand = f"Fix the cause, or roll back: {'state=absent' if name == self._known.canary_name else undo}"
        try:
            never_ended, template = self._deployments.template_before(name)
            if template is not None:
                self._apply(functools.partial(replica_canary.plan_undone, name=name, template=template))
            elif (
                never_ended
                and name == self._known.canary_name
                and (record_of(self._known.canary or {}) or {}).get("created")
            ):
                self._apply(replica_canary.plan_absent)
                return f"{name}, which an earlier run had created, was removed."
        except CanaryError as error:
            return f"The rollback to the previous revision failed, {name} is unchanged: {error.msg} {by_hand}"
        if template is None:
            said = "no previous revision exists" if never_ended else "its pods have all been ready before"
            return f"This task changed nothing and {said}, so nothing was rolled back. {by_hand}"
        return self._waited(
            name, seconds, f"{name}, which an earlier run had changed, was rolled back to its previous revision"
        )

    def _roll_back_one(self, change: Change, seconds: float) -> str:
        try:
            self._apply(functools.partial(replica_canary.plan_back, change=change))
        except CanaryError as error:
            return f"The rollback failed too, {change.object} is still changed: {error.msg}"
        if change.before is None:
            return f"{change.object} was removed."
        return self._waited(change.name, seconds, f"{change.object} was rolled back")

    def _waited(self, name: str, seconds: float, back: str) -> str:
        """Wait for the Deployment that was rolled back, and return `back` with the outcome."""
        try:
            if self._deployments.wait(name, seconds):
                return f"{back} and is ready."
        except CanaryError as error:
            return f"{back}, but the state of its pods is not known: {error.msg}"
        return f"{back}, but not all of its pods are ready yet: {'; '.join(self._deployments.problems(name))}."

    def with_what_stays(self, error: CanaryError) -> CanaryError:
        """Return the error with what this task had written before it, and what to do."""
        if not self.has_written or isinstance(error, RolloutFailed):
            return error
        written = "; ".join(line for one in self._done if one["changed"] for line in one["summary"])
        error.msg = (
            f"{error.msg} These changes were written before and are kept: {written}. Run the task again: it "
            "continues, and rolls back if pods do not become ready."
        )
        return self._with_details(error)

    def _with_details(self, error: E) -> E:
        """Return the error with all that the task did in its details; the error's own come first."""
        known = {key: value for key, value in self.result().items() if key != "msg"}
        error.details = {**known, **error.details, "changed": known["changed"]}
        return error
