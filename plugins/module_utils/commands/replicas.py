# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_replicas: a canary whose share of connections is its share of pods, and updates in place."""

from __future__ import annotations

import functools
import time
import typing as t

from ..cluster import Cluster
from ..errors import CanaryError, RolloutFailed
from ..replicas import canary, preflight
from ..replicas.pair import Pair, Wanted, find_pair
from ..replicas.standing import record_of
from ..routes.hosts import ServiceRef
from ..routes.workloads import hpa_of
from .apply import apply
from .argspec import CONNECTION, WRITE, ArgSpec
from .deployments import Rollouts
from .replicas_outcome import combined

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..routes.change import Change, Plan
    from ..routes.snapshot import Snapshot

    Planner = Callable[[Snapshot, ServiceRef, Wanted], Plan]

E = t.TypeVar("E", bound=CanaryError)

SPEC: t.Final = ArgSpec(
    {
        **CONNECTION,
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


TELLS_AT_ONCE: t.Final = True
"""Pods take minutes: who waits sees how far they are, as with `kubectl rollout status`."""


def run(
    params: Mapping[str, t.Any], *, check_mode: bool, env: Mapping[str, str], log: Callable[[str], None]
) -> dict[str, t.Any]:
    """Bring canary and stable to the state asked for. Raises CanaryError."""
    task = _Task(Cluster.connect(params, env), params, check_mode, log)
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
        self._rollouts = Rollouts(cluster, params["namespace"], log)
        self._done: list[dict[str, t.Any]] = []
        self._pair: Pair | None = None
        self._hpa = ""
        self._plan: Plan | None = None

    @property
    def has_written(self) -> bool:
        """Return whether something was written, be it taken back since."""
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
        """Give the canary its image and pods; take them back if they do not become ready.

        What stable has too many of a total, given or chosen, goes last, when the canary's pods are ready.
        """
        self._share_pods()
        by_total = self._wanted.total is not None or self._wanted.max_error is not None
        if by_total and self._params["wait"] and not self._check_mode:
            self._share_pods()

    def _share_pods(self) -> None:
        self._apply(canary.plan_present, looks=True)
        stable = self._known.stable["metadata"]["name"]
        scaled = any(change.name == stable for change in self._changes)
        self._roll_out(self._known.canary_name, *([stable] if scaled else []))

    def update_stable(self) -> None:
        """Let stable take the image, the canary's if none is named; go back if the pods do not become ready."""
        self._apply(canary.plan_updated, looks=True)
        self._roll_out(self._known.stable["metadata"]["name"])

    def remove_canary(self) -> None:
        """Delete the canary and wait until its pods have ended, or give it back to those who made it."""
        self._apply(canary.plan_absent)
        change = next((one for one in self._changes if one.name == self._known.canary_name), None)
        if change is None or change.before is None or self._check_mode or not self._params["wait"]:
            return
        if change.after is not None:
            self._roll_out(change.name)
            return
        left = self._rollouts.wait_gone(change.before["spec"]["selector"], self._params["wait_timeout"])
        if left:
            raise self._with_details(
                RolloutFailed(
                    f"{change.object} is deleted, but {left} of its pods have not ended after "
                    f"{self._params['wait_timeout']:g} s. They end by themselves; look at their finalizers "
                    "and nodes if not."
                )
            )

    def result(self) -> dict[str, t.Any]:
        """Return what the task did, all its plans together."""
        return combined(self._done, self._known, self._wanted, self._hpa, self._rollouts.told)

    @property
    def _known(self) -> Pair:
        if self._pair is None:
            raise RuntimeError("the Deployments were asked for before a plan was made")
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
            inspect=lambda snapshot, plan: preflight.inspect(snapshot, self._service, self._wanted, plan),
        )
        self._done.append({**done, "summary": self._plan.summary if self._plan else ()})

    def _roll_out(self, *names: str) -> None:
        """Wait for Deployments; what this task wrote is taken back if their pods do not become ready."""
        if self._check_mode or not self._params["wait"]:
            return
        seconds, began = self._params["wait_timeout"], time.monotonic()
        for name in names:
            if self._rollouts.wait(name, max(0.0, began + seconds - time.monotonic())):
                continue
            took = time.monotonic() - began
            why = "; ".join(self._rollouts.troubles(name))
            told = f"{name} in {self._service.namespace} was not rolled out after {took:.0f} s: {why}."
            raise self._with_details(RolloutFailed(f"{told} {self._taken_back(name, seconds)}"))

    def _taken_back(self, name: str, seconds: float) -> str:
        """Undo the changes of the last plan, the last one first, and return what came of it."""
        changes = self._changes
        if not changes:
            return self._undone(name, seconds)
        told = [self._one_taken_back(change, seconds) for change in reversed(changes)]
        if len(changes) == 1 and changes[0].before is None:
            told.append("Stable was not touched.")
        return " ".join(told)

    def _undone(self, name: str, seconds: float) -> str:
        """Go back from what an earlier run has written, which was killed before it could, and return what came of it.

        Only from a template whose pods have never all been ready; what was once rolled out fails for another reason.
        """
        undo = f"kubectl -n {self._service.namespace} rollout undo deployment/{name}"
        by_hand = f"Mend what fails, or go back: {'state=absent' if name == self._known.canary_name else undo}"
        try:
            never_ended, template = self._rollouts.template_before(name)
            if template is not None:
                self._apply(functools.partial(canary.plan_undone, name=name, template=template))
            elif (
                never_ended
                and name == self._known.canary_name
                and (record_of(self._known.canary or {}) or {}).get("created")
            ):
                self._apply(canary.plan_absent)
                return f"An earlier run had made {name}; it was removed again."
        except CanaryError as error:
            return f"Going back to the revision before failed, {name} stays as it is: {error.msg} {by_hand}"
        if template is None:
            said = "no earlier revision is kept" if never_ended else "as far as is known its pods were all ready once"
            return f"This task changed nothing, and {said}, so nothing was taken back. {by_hand}"
        return self._waited(name, seconds, f"An earlier run had changed {name}; it was put back to the revision before")

    def _one_taken_back(self, change: Change, seconds: float) -> str:
        try:
            self._apply(functools.partial(canary.plan_back, change=change))
        except CanaryError as error:
            return f"Taking it back failed too, {change.object} stays as written: {error.msg}"
        if change.before is None:
            return f"{change.object} was removed again."
        return self._waited(change.name, seconds, f"{change.object} was put back to what it was")

    def _waited(self, name: str, seconds: float, back: str) -> str:
        """Wait for what was put back, and return `back` with what came of it."""
        try:
            if self._rollouts.wait(name, seconds):
                return f"{back} and is rolled out again."
        except CanaryError as error:
            return f"{back}; whether its pods are ready is not known: {error.msg}"
        return f"{back}, but not all of its pods are ready yet: {'; '.join(self._rollouts.troubles(name))}."

    def with_what_stays(self, error: CanaryError) -> CanaryError:
        """Return the error with what this task had written before it, and what to do."""
        if not self.has_written or isinstance(error, RolloutFailed):
            return error
        written = "; ".join(line for one in self._done if one["changed"] for line in one["summary"])
        error.msg = (
            f"{error.msg} Written before that, and it stays: {written}. Run the task again: it goes on from there, and "
            "goes back if pods do not become ready."
        )
        return self._with_details(error)

    def _with_details(self, error: E) -> E:
        """Return the error with all that the task did in its details; the error's own come first."""
        known = {key: value for key, value in self.result().items() if key != "msg"}
        error.details = {**known, **error.details, "changed": known["changed"]}
        return error
