# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pods for a share, before the share comes: scale versions up, wait for their pods, and scale them down again."""

from __future__ import annotations

import time
import typing as t

from ..errors import CanaryError, InvalidInput, NotReady, Refused
from ..objects import pod_counts, workloads
from ..objects.change import Plan
from ..objects.metadata import identity
from ..objects.weights import parse_percent
from ..preflight import scaling_ownership
from ..rollout import capacity_changes
from ..routing import overview, plan
from ..task.argument_spec import SERVICE, WRITE, ArgSpec
from ..task.reading import Reader, service_of
from .apply import apply
from .deployment_wait import DeploymentWait

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..findings import Finding
    from ..kube.client import Cluster
    from ..objects.change import Change
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot
    from ..task.context import Context

    Log = Callable[[str], None]
    Version = Mapping[str, t.Any]

SPEC: t.Final = ArgSpec(
    {
        **SERVICE,
        "version": {"type": "str"},
        "pods": {"type": "int"},
        "share": {"type": "float"},
        "next_share": {"type": "float"},
        "last_share": {"type": "float"},
        "stable": {"type": "str"},
        "other_versions": {"type": "list", "elements": "str", "default": []},
        "keep_stable": {"type": "bool", "default": False},
        "min_pods": {"type": "int", "default": 1},
        "headroom": {"type": "float", "default": 1.2},
        "force": WRITE["force"],
        "state": {"type": "str", "default": "present", "choices": ["present", "reduced", "released"]},
        "wait": {"type": "bool", "default": True},
        "wait_timeout": {"type": "float", "default": 300.0},
    },
    required_if=[
        ("state", "present", ["version"]),
        ("state", "present", ["pods", "share"], True),
        ("state", "reduced", ["version", "pods"]),
    ],
    mutually_exclusive=[("pods", "share"), ("pods", "next_share"), ("pods", "last_share")],
    required_by={"share": ["stable"], "next_share": ["share"], "last_share": ["share"]},
)
READS: t.Final = ("services", "deployments", "hpas", "virtual_services", "destination_rules")
_PODS_ONLY: t.Final = {"wait": False, "return_object": False, "preflight": True}
_RESULT_KEYS: t.Final = ("changed", "service", "namespace", "patch", "diff", "warnings")


def write_capacity(cluster: Cluster, params: Mapping[str, t.Any], context: Context) -> dict[str, t.Any]:
    """Scale a version up and wait for its pods, scale it down, or restore minReplicas; return the task's result.

    params: see SPEC. Raises CanaryError.
    """
    _check(params)
    return _Task(cluster, params, context.check_mode, context.log).run()


def _check(params: Mapping[str, t.Any]) -> None:
    for option in ("share", "next_share", "last_share"):
        if params[option] is not None:
            parse_percent(params[option], option)
    for option, least in (("pods", 0), ("min_pods", 0), ("headroom", 1.0), ("wait_timeout", 0.0)):
        if params[option] is not None and params[option] < least:
            raise InvalidInput(f"{option} must be {least:g} or more, not {params[option]:g}.")
    if params["keep_stable"] and not params["stable"]:
        raise InvalidInput("keep_stable requires stable, the version whose pods are kept.")


class _Task:
    """One task. goal: what is waited for. ready: pods that were ready when the Deployments were read, or at the end."""

    def __init__(self, cluster: Cluster, params: Mapping[str, t.Any], check_mode: bool, log: Log) -> None:
        self._cluster, self._params, self._check_mode, self._log = cluster, params, check_mode, log
        self._service = service_of(params)
        self._changes: Sequence[Change] = ()
        self._goal: capacity_changes.Goal | None = None
        self._forced = self._unheld = ""
        self._ready = 0

    def run(self) -> dict[str, t.Any]:
        done = apply(
            self._cluster,
            self._service,
            self._decide,
            {**self._params, **_PODS_ONLY},
            check_mode=self._check_mode,
            log=self._log,
            reads=READS,
            inspect=self._inspect,
        )
        result = {key: done[key] for key in _RESULT_KEYS}
        if self._params["wait"] and not self._check_mode:
            try:
                self._wait()
            except CanaryError as error:
                description = {key: result[key] for key in ("changed", "service", "namespace", "patch")}
                error.details.update(description, api_requests=self._cluster.requests)
                raise
        return {
            **result,
            "msg": self._sentence(changed=done["changed"]),
            "api_requests": self._cluster.requests,
            **self._numbers(),
        }

    def _decide(self, snapshot: Snapshot) -> Plan:
        """Return the writes for what was read; also sets the goal."""
        description = self._described(snapshot)
        versions = overview.versions(snapshot, self._service, description, None)
        self._changes = changes = _CHANGES[self._params["state"]](self, snapshot, versions)
        return Plan(
            changes=tuple(changes),
            summary=tuple(line for change in changes for line in change.summary),
            diff_before="".join(f"{capacity_changes.diff_lines(change)[0]}\n" for change in changes),
            diff_after="".join(f"{capacity_changes.diff_lines(change)[1]}\n" for change in changes),
            route_api=description["route_api"] or self._params["route_api"],
            notes=tuple(note for note in (self._forced, self._unheld) if note),
        )

    def _inspect(self, snapshot: Snapshot, plan: Plan) -> list[Finding]:
        """Return what somebody else would revert. What was raised is restored whoever owns it."""
        return [] if self._params["state"] == "released" else list(scaling_ownership.of_changes(snapshot, plan.changes))

    def _described(self, snapshot: Snapshot) -> dict[str, t.Any]:
        """Return the share of each version; minReplicas are restored even if the routes contradict each other."""
        try:
            named = [self._params["version"], self._params["stable"], *self._params["other_versions"]]
            versions = [one for one in named if one]
            return plan.describe(snapshot, self._service, api=self._params["route_api"], versions=versions)
        except Refused:
            if self._params["state"] != "released":
                raise
            return overview.unknown_description(snapshot, self._service)

    def _released(self, snapshot: Snapshot, versions: list[dict[str, t.Any]]) -> list[Change]:
        names = [one["hpa"]["name"] for one in versions if one["hpa"]]
        return capacity_changes.restore_min_replicas(snapshot, self._service, names)

    def _reduced(self, snapshot: Snapshot, versions: list[dict[str, t.Any]]) -> list[Change]:
        deployments = capacity_changes.deployments_of(snapshot, self._service, self._one(versions, "version"))
        return [
            change
            for one in deployments
            for change in capacity_changes.reduce_pods(snapshot, one, self._params["pods"])
        ]

    def _present(self, snapshot: Snapshot, versions: list[dict[str, t.Any]]) -> list[Change]:
        requested = self._params
        deployment = capacity_changes.deployment_of(snapshot, self._service, self._one(versions, "version"))
        changes: list[Change] = []
        if requested["keep_stable"]:
            stable = self._one(versions, "stable")
            serving = capacity_changes.deployment_of(snapshot, self._service, stable)
            held = self._to_return(snapshot, versions)
            changes = capacity_changes.hold_pods(snapshot, serving, held)
            self._unheld = capacity_changes.unheld(snapshot, serving, held)
        self._look_ahead(snapshot, deployment, versions)
        pods = self._pods(versions, requested["share"]) if requested["pods"] is None else requested["pods"]
        soon = pods if requested["next_share"] is None else max(pods, self._pods(versions, requested["next_share"]))
        self._goal = capacity_changes.goal_of(snapshot, deployment, pods)
        self._ready = workloads.ready(deployment)
        return [*changes, *capacity_changes.raise_pods(snapshot, deployment, soon)]

    def _to_return(self, snapshot: Snapshot, versions: list[dict[str, t.Any]]) -> int:
        """Return the pods with which stable could take everything back; 0 where what is measured is not of now."""
        if not self._is_steady(snapshot, versions, overview.routing_objects(snapshot, self._service)):
            return 0
        beside = [self._params["version"], *self._params["other_versions"]]
        return pod_counts.pods_after_rollback(versions, self._params["stable"], beside)

    def _is_steady(self, snapshot: Snapshot, versions: list[dict[str, t.Any]], routes: Sequence[Object] = ()) -> bool:
        stable = self._one(versions, "stable")
        return capacity_changes.is_load_current(snapshot, self._service, stable, self._cluster.server_time, routes)

    def _look_ahead(self, snapshot: Snapshot, deployment: Object, versions: list[dict[str, t.Any]]) -> None:
        """Raise Refused if the last share needs more pods than the autoscaler may start, unless that is forced.

        By a measured load alone and without headroom, as canary_weight will judge that share when it comes.
        """
        share, stable = self._params["last_share"], self._params["stable"]
        if share is None:
            return
        found = self._owned(snapshot, deployment, versions, share)
        if found is None and pod_counts.is_measured(versions, stable) and self._is_steady(snapshot, versions):
            needed, wanted = self._needed(versions, share, headroom=1.0), self._pods(versions, share)
            found = capacity_changes.capacity_finding(
                snapshot, deployment, share, needed=needed, wanted=wanted, measured=stable
            )
        if found is None:
            return
        if found.code in self._params["force"]:
            self._forced = f"{found.code}: {found.object}: {found.reason}"
            return
        raise Refused(
            f"Refused to scale {self._service.name} {self._params['version']}, because the last share cannot be "
            f"reached. Nothing was written: [{found.code}] {found.object}: {found.reason} {found.remedy} To scale "
            "it nevertheless: "
            f"force: [{found.code}]",
            [found],
        )

    def _owned(
        self, snapshot: Snapshot, deployment: Object, versions: list[dict[str, t.Any]], share: float
    ) -> Finding | None:
        """Return the finding that the last share needs more pods than an autoscaler that another owns starts first."""
        hpa, wanted = workloads.hpa_of(snapshot, deployment), self._pods(versions, share)
        if hpa is None or workloads.scaling(hpa).minimum >= min(wanted, workloads.scaling(hpa).maximum):
            return None
        return scaling_ownership.last_share(hpa, wanted, share)

    def _one(self, versions: list[dict[str, t.Any]], option: str) -> Version:
        """Return the version an option names. Raises InvalidInput if there is none."""
        name = self._params[option]
        found = next((one for one in versions if one["version"] == name), None)
        if found is None:
            there = ", ".join(one["version"] for one in versions if one["version"]) or "none"
            where = f"{self._service.name} in {self._service.namespace}"
            raise InvalidInput(f"{option}: {where} has no version {name!r}. Existing versions: {there}.")
        return found

    def _pods(self, versions: list[dict[str, t.Any]], share: float) -> int:
        return max(int(self._params["min_pods"]), self._needed(versions, share, self._params["headroom"]))

    def _needed(self, versions: list[dict[str, t.Any]], share: float, headroom: float) -> int:
        requested = self._params
        return pod_counts.pods_for(
            versions,
            requested["stable"],
            requested["version"],
            share,
            headroom=headroom,
            other_versions=requested["other_versions"],
        )

    def _wait(self) -> None:
        """Wait for the goal. Raises NotReady with what stands in the way of the pods."""
        goal = self._goal
        if goal is None or self._ready >= goal.pods:
            return
        seconds, began = self._params["wait_timeout"], time.monotonic()
        deployments = DeploymentWait(self._cluster, self._service.namespace, self._log)
        self._ready = deployments.wait_ready(goal.deployment, goal.pods, seconds)
        if self._ready >= goal.pods:
            return
        took = time.monotonic() - began
        why = "; ".join(self._reasons(deployments, goal))
        version, kubectl = f"{self._service.namespace}/{self._service.name}", f"kubectl -n {self._service.namespace}"
        raise NotReady(
            f"Version {self._params['version']} of {version} needs {goal.pods} ready pods, and has {self._ready} "
            f"after {took:.0f} of {seconds:g} s: {why}. The scaling is kept. To find the cause: {kubectl} describe "
            f"deployment {goal.deployment} and {kubectl} get events (quota, nodes, image).",
            **self._numbers(),
        )

    def _reasons(self, deployments: DeploymentWait, goal: capacity_changes.Goal) -> list[str]:
        """Return why the pods are missing; never nothing. Who asks for fewer pods comes first."""
        fewer: list[str] = []
        try:
            reader = Reader(self._cluster, self._service, wide=False)
            snapshot = reader.snapshot(("deployments", "hpas"), if_allowed=True)
            found = [one for one in snapshot.deployments or () if identity(one)[1] == goal.deployment]
            for one in found:
                fewer += capacity_changes.why_fewer(snapshot, one, goal.pods)
        except CanaryError as error:
            fewer.append(f"the autoscaler could not be read: {error.msg}")
        unknown = "neither the Deployment nor its pods, events and autoscaler say why"
        return [*fewer, *deployments.problems(goal.deployment)] or [unknown]

    def _numbers(self) -> dict[str, t.Any]:
        if self._goal is None:
            return {}
        return {"version": self._params["version"], **self._goal._asdict(), "ready": self._ready}

    def _sentence(self, *, changed: bool) -> str:
        nothing = "nothing is left to change, see the warnings" if changed else "nothing to change"
        wrote = "; ".join(line for change in self._changes for line in change.summary) or nothing
        if self._goal is None:
            return f"{self._service.name}: {wrote}"
        result, goal = f"{self._ready} of {self._goal.pods} pods ready", self._goal
        if goal.needed > goal.pods:
            result += f", {goal.needed} are needed, but maxReplicas of its autoscaler is {goal.pods}: raise it"
        return f"{self._service.name} {self._params['version']}: {result} ({wrote})"


_CHANGES: t.Final[dict[str, Callable[[_Task, Snapshot, list[dict[str, t.Any]]], list[Change]]]] = {
    "present": _Task._present,
    "reduced": _Task._reduced,
    "released": _Task._released,
}
