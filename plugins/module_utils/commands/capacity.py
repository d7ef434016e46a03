# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_capacity: the pods for a share, before the share comes."""

from __future__ import annotations

import time
import typing as t

from ..cluster import Cluster
from ..errors import CanaryError, InvalidInput, NotReady, Refused
from ..rollout import capacity, floors
from ..routes import overview, plan, workloads
from ..routes.change import Plan
from ..routes.weights import one_percent
from .apply import apply
from .argspec import CONNECTION, SERVICE, WRITE, ArgSpec
from .deployments import Rollouts
from .reading import service_of

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..routes.change import Change
    from ..routes.snapshot import Object, Snapshot

    Log = Callable[[str], None]
    Version = Mapping[str, t.Any]

SPEC: t.Final = ArgSpec(
    {
        **CONNECTION,
        **SERVICE,
        "version": {"type": "str"},
        "pods": {"type": "int"},
        "share": {"type": "float"},
        "next_share": {"type": "float"},
        "last_share": {"type": "float"},
        "stable": {"type": "str"},
        "others": {"type": "list", "elements": "str", "default": []},
        "keep_stable": {"type": "bool", "default": False},
        "least": {"type": "int", "default": 1},
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
_TOLD: t.Final = ("changed", "service", "namespace", "patch", "diff", "warnings")

TELLS_AT_ONCE: t.Final = True
"""Pods take a while: who waits sees how far they are."""


def run(params: Mapping[str, t.Any], *, check_mode: bool, env: Mapping[str, str], log: Log) -> dict[str, t.Any]:
    """Give the version its pods and wait for them, take some away, or give the floors back. Raises CanaryError."""
    _check(params)
    return _Task(Cluster.connect(params, env), params, check_mode, log).run()


def _check(params: Mapping[str, t.Any]) -> None:
    for option in ("share", "next_share", "last_share"):
        if params[option] is not None:
            one_percent(params[option], option)
    for option, least in (("pods", 0), ("least", 0), ("headroom", 1.0), ("wait_timeout", 0.0)):
        if params[option] is not None and params[option] < least:
            raise InvalidInput(f"{option} must be {least:g} or more, not {params[option]:g}.")
    if params["keep_stable"] and not params["stable"]:
        raise InvalidInput("keep_stable: say with `stable` whose pods are to be kept.")


class _Task:
    """One task. goal: what is waited for. ready: pods that were ready when the Deployments were read, or at the end."""

    def __init__(self, cluster: Cluster, params: Mapping[str, t.Any], check_mode: bool, log: Log) -> None:
        self._cluster, self._params, self._check_mode, self._log = cluster, params, check_mode, log
        self._service = service_of(params)
        self._changes: Sequence[Change] = ()
        self._goal: floors.Goal | None = None
        self._forced = ""
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
            inspect=lambda _snapshot, _plan: [],
        )
        result = {key: done[key] for key in _TOLD}
        if self._params["wait"] and not self._check_mode:
            try:
                self._wait()
            except CanaryError as error:
                told = {key: result[key] for key in ("changed", "service", "namespace", "patch")}
                error.details.update(told, api_requests=self._cluster.requests)
                raise
        return {**result, "msg": self._sentence(), "api_requests": self._cluster.requests, **self._numbers()}

    def _decide(self, snapshot: Snapshot) -> Plan:
        """Return the writes for what was read; also sets the goal."""
        description = self._described(snapshot)
        versions = overview.versions(snapshot, self._service, description, None)
        self._changes = changes = getattr(self, f"_{self._params['state']}")(snapshot, versions)
        return Plan(
            changes=tuple(changes),
            summary=tuple(line for change in changes for line in change.summary),
            diff_before="".join(f"{floors.told(change)[0]}\n" for change in changes),
            diff_after="".join(f"{floors.told(change)[1]}\n" for change in changes),
            route_api=description["route_api"] or self._params["route_api"],
            notes=(self._forced,) if self._forced else (),
        )

    def _described(self, snapshot: Snapshot) -> dict[str, t.Any]:
        """Return who gets which share; floors are given back also where the routes contradict each other."""
        try:
            return plan.describe(snapshot, self._service, api=self._params["route_api"])
        except Refused:
            if self._params["state"] != "released":
                raise
            return overview.untold(snapshot, self._service)

    def _released(self, snapshot: Snapshot, versions: list[dict[str, t.Any]]) -> list[Change]:
        names = [one["hpa"]["name"] for one in versions if one["hpa"]]
        return floors.released(snapshot, self._service, names)

    def _reduced(self, snapshot: Snapshot, versions: list[dict[str, t.Any]]) -> list[Change]:
        deployments = floors.deployments_of(snapshot, self._service, self._one(versions, "version"))
        return [change for one in deployments for change in floors.reduced(snapshot, one, self._params["pods"])]

    def _present(self, snapshot: Snapshot, versions: list[dict[str, t.Any]]) -> list[Change]:
        asked = self._params
        deployment = floors.deployment_of(snapshot, self._service, self._one(versions, "version"))
        changes: list[Change] = []
        if asked["keep_stable"]:
            stable = self._one(versions, "stable")
            serving = floors.deployment_of(snapshot, self._service, stable)
            changes = floors.kept(snapshot, serving, self._to_return(snapshot, versions))
        self._look_ahead(snapshot, deployment, versions)
        pods = self._pods(versions, asked["share"]) if asked["pods"] is None else asked["pods"]
        soon = pods if asked["next_share"] is None else max(pods, self._pods(versions, asked["next_share"]))
        self._goal = floors.goal(snapshot, deployment, pods)
        self._ready = workloads.ready(deployment)
        return [*changes, *floors.raised(snapshot, deployment, soon)]

    def _to_return(self, snapshot: Snapshot, versions: list[dict[str, t.Any]]) -> int:
        """Return the pods with which stable could take everything back; 0 where what is measured is not of now."""
        if not self._is_steady(snapshot, versions, overview.routing_objects(snapshot, self._service)):
            return 0
        beside = [self._params["version"], *self._params["others"]]
        return capacity.pods_to_return(versions, self._params["stable"], beside)

    def _is_steady(self, snapshot: Snapshot, versions: list[dict[str, t.Any]], routes: Sequence[Object] = ()) -> bool:
        stable = self._one(versions, "stable")
        return floors.steady(snapshot, self._service, stable, self._cluster.server_time, routes)

    def _look_ahead(self, snapshot: Snapshot, deployment: Object, versions: list[dict[str, t.Any]]) -> None:
        """Raise Refused if the last share needs more pods than the autoscaler may start, unless that is forced.

        By a measured load alone and without headroom, as canary_weight will judge that share when it comes.
        """
        share, stable = self._params["last_share"], self._params["stable"]
        if share is None or not (capacity.is_measured(versions, stable) and self._is_steady(snapshot, versions)):
            return
        needed, wanted = self._needed(versions, share, headroom=1.0), self._pods(versions, share)
        found = floors.too_few(snapshot, deployment, share, needed=needed, wanted=wanted, measured=stable)
        if found is None:
            return
        if found.code in self._params["force"]:
            self._forced = f"{found.code}: {found.object}: {found.reason}"
            return
        raise Refused(
            f"Refused to give {self._service.name} {self._params['version']} pods for a part of the way, nothing was "
            f"written: [{found.code}] {found.object}: {found.reason} {found.remedy} To go on until there nevertheless: "
            f"force: [{found.code}]",
            [found],
        )

    def _one(self, versions: list[dict[str, t.Any]], option: str) -> Version:
        """Return the version an option names. Raises InvalidInput if there is none."""
        name = self._params[option]
        found = next((one for one in versions if one["version"] == name), None)
        if found is None:
            there = ", ".join(one["version"] for one in versions if one["version"]) or "none"
            where = f"{self._service.name} in {self._service.namespace}"
            raise InvalidInput(f"{option}: {where} has no version {name!r}; there are: {there}.")
        return found

    def _pods(self, versions: list[dict[str, t.Any]], share: float) -> int:
        return max(int(self._params["least"]), self._needed(versions, share, self._params["headroom"]))

    def _needed(self, versions: list[dict[str, t.Any]], share: float, headroom: float) -> int:
        asked = self._params
        return capacity.pods_for(
            versions, asked["stable"], asked["version"], share, headroom=headroom, others=asked["others"]
        )

    def _wait(self) -> None:
        """Wait for the goal. Raises NotReady with what stands in the way of the pods."""
        goal = self._goal
        if goal is None or self._ready >= goal.pods:
            return
        seconds, began = self._params["wait_timeout"], time.monotonic()
        rollouts = Rollouts(self._cluster, self._service.namespace, self._log)
        self._ready = rollouts.wait_ready(goal.deployment, goal.pods, seconds)
        if self._ready >= goal.pods:
            return
        took = time.monotonic() - began
        why = "; ".join(rollouts.troubles(goal.deployment))
        version, kubectl = f"{self._service.namespace}/{self._service.name}", f"kubectl -n {self._service.namespace}"
        raise NotReady(
            f"Version {self._params['version']} of {version} is to have {goal.pods} ready pods, and has {self._ready} "
            f"after {took:.0f} of {seconds:g} s: {why}. They stay asked for. Why not more: {kubectl} describe "
            f"deployment {goal.deployment} and {kubectl} get events (quota, nodes, image).",
            **self._numbers(),
        )

    def _numbers(self) -> dict[str, t.Any]:
        if self._goal is None:
            return {}
        return {"version": self._params["version"], **self._goal._asdict(), "ready": self._ready}

    def _sentence(self) -> str:
        wrote = "; ".join(line for change in self._changes for line in change.summary) or "nothing to change"
        if self._goal is None:
            return f"{self._service.name}: {wrote}"
        told, goal = f"{self._ready} of {self._goal.pods} pods ready", self._goal
        if goal.needed > goal.pods:
            told += f", {goal.needed} are needed and its autoscaler's maximum is {goal.pods}: raise it"
        return f"{self._service.name} {self._params['version']}: {told} ({wrote})"
