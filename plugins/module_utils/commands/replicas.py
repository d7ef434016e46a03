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
from ..replicas import canary, ratio
from ..replicas.pair import Pair, Wanted, find_pair
from ..routes.hosts import ServiceRef
from ..routes.workloads import desired, hpa_of
from .apply import apply
from .argspec import CONNECTION, ArgSpec
from .deployments import Rollouts

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..routes.change import Change, Plan
    from ..routes.snapshot import Snapshot

    Planner = Callable[[Snapshot, ServiceRef, Wanted], Plan]

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
        "wait": {"type": "bool", "default": True},
        "wait_timeout": {"type": "float", "default": 300.0},
    },
    mutually_exclusive=[("share", "replicas"), ("total", "replicas")],
    required_by={"total": ["share"]},
    required_if=[("state", "present", ["share", "replicas"], True), ("state", "updated", ["image"])],
)
_NOTHING_ROUTED: t.Final = {"preflight": False, "wait": False, "force": [], "return_object": False}
_KEPT: t.Final = ("service", "namespace", "route_api", "weights", "weights_before", "objects", "api_requests")


def run(
    params: Mapping[str, t.Any], *, check_mode: bool, env: Mapping[str, str], log: Callable[[str], None]
) -> dict[str, t.Any]:
    """Bring canary and stable to the state asked for. Raises CanaryError."""
    task = _Task(Cluster.connect(params, env), params, check_mode, log)
    if params["state"] == "present":
        task.present()
    elif params["state"] == "absent":
        task.remove_canary()
    else:
        task.update_stable()
        if params["state"] == "promoted":
            task.remove_canary()
    return task.result()


class _Task:
    """One task: its plans are written one after the other, each rolled out before the next."""

    def __init__(
        self, cluster: Cluster, params: Mapping[str, t.Any], check_mode: bool, log: Callable[[str], None]
    ) -> None:
        self._cluster, self._params, self._check_mode, self._log = cluster, params, check_mode, log
        self._service = ServiceRef(params["service"], params["namespace"])
        self._wanted = Wanted(
            **{name: params[name] for name in ("deployment", "canary", "container", "image", "share", "replicas")},
            max_error=params["max_error"],
            labels={str(key): str(value) for key, value in params["labels"].items()},
            promotes=params["state"] == "promoted",
            total=params["total"],
        )
        self._rollouts = Rollouts(cluster, params["namespace"], log)
        self._done: list[dict[str, t.Any]] = []
        self._pair: Pair | None = None
        self._hpa = ""
        self._plan: Plan | None = None

    def present(self) -> None:
        """Give the canary its image and pods; take them back if they do not become ready.

        What stable has too many of a total goes last, when the canary's pods are ready.
        """
        self._share_pods()
        if self._params["total"] and self._params["wait"] and not self._check_mode:
            self._share_pods()

    def _share_pods(self) -> None:
        self._apply(canary.plan_present)
        stable = self._known.stable["metadata"]["name"]
        scaled = any(change.name == stable for change in self._changes)
        self._roll_out(self._known.canary_name, *([stable] if scaled else []))

    def update_stable(self) -> None:
        """Let stable take the image, the canary's if none is named; go back if the pods do not become ready."""
        self._apply(canary.plan_updated)
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
        last, pair = self._done[-1], self._known
        summary = [line for one in self._done for line in one["summary"]]
        warnings = [line for one in self._done for line in one["warnings"]]
        told = self._advice(pair)
        said = "; ".join(summary) or f"{self._service.name}: nothing to change"
        return {
            **{key: last[key] for key in _KEPT},
            "changed": any(one["changed"] for one in self._done),
            "msg": f"{said}. {told['advice']}." if told["advice"] else f"{said}.",
            "weights_before": self._done[0]["weights_before"],
            "deployment": pair.stable["metadata"]["name"],
            "canary": pair.canary_name,
            "hpa": self._hpa,
            "patch": [patch for one in self._done for patch in one["patch"]],
            "progress": list(self._rollouts.told),
            "warnings": list(dict.fromkeys(warnings)),
            "diff": self._diff(),
            **told,
        }

    @property
    def _known(self) -> Pair:
        if self._pair is None:
            raise RuntimeError("the Deployments were asked for before a plan was made")
        return self._pair

    @property
    def _changes(self) -> Sequence[Change]:
        return self._plan.changes if self._plan else ()

    def _apply(self, planner: Planner) -> None:
        """Write what `planner` plans."""

        def decide(snapshot: Snapshot) -> Plan:
            self._plan = planner(snapshot, self._service, self._wanted)
            self._pair = find_pair(snapshot, self._service, self._wanted)
            hpa = hpa_of(snapshot, self._pair.stable)
            self._hpa = hpa["metadata"]["name"] if hpa else ""
            return self._plan

        given = {**self._params, **_NOTHING_ROUTED}
        done = apply(
            self._cluster,
            self._service,
            decide,
            given,
            check_mode=self._check_mode,
            log=self._log,
            reads=("services", "deployments", "hpas"),
        )
        self._done.append({**done, "summary": self._plan.summary if self._plan else ()})

    def _roll_out(self, *names: str) -> None:
        """Wait for Deployments; what this task wrote is taken back if their pods do not become ready."""
        if self._check_mode or not self._params["wait"]:
            return
        seconds = self._params["wait_timeout"]
        until = time.monotonic() + seconds
        for name in names:
            if self._rollouts.wait(name, max(0.0, until - time.monotonic())):
                continue
            why = "; ".join(self._rollouts.troubles(name))
            told = f"{name} in {self._service.namespace} was not rolled out after {seconds:g} s: {why}."
            raise self._with_details(RolloutFailed(f"{told} {self._taken_back(seconds)}"))

    def _taken_back(self, seconds: float) -> str:
        """Undo the changes of the last plan, the last one first, and return what came of it."""
        changes = self._changes
        if not changes:
            return "This task changed nothing, so there was nothing to take back."
        told = [self._one_taken_back(change, seconds) for change in reversed(changes)]
        if len(changes) == 1 and changes[0].before is None:
            told.append("Stable was not touched.")
        return " ".join(told)

    def _one_taken_back(self, change: Change, seconds: float) -> str:
        try:
            self._apply(functools.partial(canary.plan_back, change=change))
        except CanaryError as error:
            return f"Taking it back failed too, {change.object} stays as written: {error.msg}"
        if change.before is None:
            return f"{change.object} was removed again."
        back = f"{change.object} was put back to what it was"
        if self._rollouts.wait(change.name, seconds):
            return f"{back} and is rolled out again."
        return f"{back}, but not all of its pods are ready yet: {'; '.join(self._rollouts.troubles(change.name))}."

    def _with_details(self, error: RolloutFailed) -> RolloutFailed:
        known = {**self.result(), "progress": list(self._rollouts.told)}
        error.details.update({key: value for key, value in known.items() if key != "msg"})
        return error

    def _advice(self, pair: Pair) -> dict[str, t.Any]:
        """Return the wanted and the reachable share and what it costs; empty where no share was asked for."""
        share = self._params["share"]
        if share is None or self._params["state"] != "present":
            return {"advice": "", "share": {}}
        total = self._params["total"]
        got = ratio.for_stable(share, pair.beside) if total is None else ratio.for_total(share, total)
        numbers = {"wanted": share, "reached": round(got.share, 2), "error": round(got.error(share), 2)}
        follows = f"; the share moves with {self._hpa}, run again to follow it" if self._hpa else ""
        stable = got.stable - pair.beside + desired(pair.stable)
        pods = {"pods": got.canary, "beside": got.stable, "stable": stable}
        return {"advice": ratio.advice(share, got) + follows, "share": {**numbers, **pods}}

    def _diff(self) -> dict[str, str]:
        both = {side: "".join(one["diff"][side] for one in self._done) for side in ("before", "after")}
        header = ", ".join(dict.fromkeys(f"{one['kind']} {one['namespace']}/{one['name']}" for one in self._changed()))
        return {**both, "before_header": header, "after_header": header}

    def _changed(self) -> list[dict[str, t.Any]]:
        return [patch for one in self._done for patch in one["patch"]]
