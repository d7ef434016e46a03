# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_rollout: carries a rollout to its promotion or its rollback, or tells where it stands."""

from __future__ import annotations

import typing as t

from ..errors import CanaryError, InvalidInput
from ..evidence import analysis_options
from ..kube.client import Cluster
from ..rollout import phases
from ..rollout.steps import MAX_WAIT_SECONDS
from ..runs import gitops
from ..runs.conductor import Conductor
from ..runs.lock import RUN, Lease
from ..runs.promotion import Promotion
from ..runs.rollback import Rollback
from ..runs.session import Session
from ..runs.watchdog import OPTIONS
from ..task.argument_spec import BY_PODS, CONNECTION, PROMETHEUS, ArgSpec
from ..task.reading import service_of

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..objects.hosts import ServiceRef
    from ..task.context import Context

    Result = dict[str, t.Any]

SPEC: t.Final = ArgSpec(
    {
        **CONNECTION,
        **BY_PODS,
        **PROMETHEUS,
        **analysis_options.OPTIONS,
        "state": {"type": "str", "default": "present", "choices": ["promoted", "rolled_back", "present"]},
        "return_at": {"type": "list", "elements": "str", "default": [], "choices": list(phases.RETURN_POINTS)},
        "must_promote": {"type": "bool", "default": True},
        "answer": {"type": "str", "default": "", "choices": ["", "approved", "rejected"]},
        "error": {"type": "str", "default": ""},
        "record_digest": {"type": "str", "default": "", "no_log": False},
        "record_key": {"type": "str", "no_log": True},
        "note": {"type": "str", "default": ""},
        # The plan
        "stable": {"type": "str"},
        "canary": {"type": "str"},
        "baseline": {"type": "str", "default": ""},
        "image": {"type": "str", "default": ""},
        "container": {"type": "str", "default": ""},
        "labels": {"type": "dict", "default": {}},
        "max_error": {"type": "float", "default": 100.0},
        "steps": {"type": "list", "elements": "raw"},
        "shape": {"type": "str", "choices": ["linear", "exponential"]},
        "start": {"type": "float"},
        "by": {"type": "float"},
        "pause": {"type": "float", "default": 60.0},
        "deadline": {"type": "float", "default": 600.0},
        "gate": {"type": "str", "default": "none", "choices": ["none", "timed", "manual"]},
        "gate_seconds": {"type": "float", "default": 3600.0},
        "gate_default": {"type": "str", "default": "rollback", "choices": ["rollback", "continue"]},
        "analysis": {"type": "bool", "default": True},
        "cohort": {"type": "dict"},
        "approval": {"type": "str", "default": "annotation", "choices": ["annotation", "terminal"]},
        "keep": {"type": "dict", "default": {}},
        "adapt": {"type": "bool", "default": False},
        "on_drift": {"type": "str", "default": "stop", "choices": ["stop", "adopt", "restore"]},
        "pause_gitops": {"type": "str", "default": gitops.NEVER, "choices": list(gitops.CHOICES)},
        "supersede": {"type": "bool", "default": False},
        "proxy_sample": {"type": "int", "default": 50},
        # Pods
        "capacity": {"type": "bool", "default": True},
        "capacity_timeout": {"type": "float"},
        "headroom": {"type": "float", "default": 1.2},
        "pods_ahead": {"type": "bool", "default": True},
        "retire_after": {"type": "float", "default": 60.0},
        "drain": {"type": "float", "default": 5.0},
        "old_replicas": {"type": "str"},
        "force": {"type": "list", "elements": "str", "default": []},
        "cohorts": {"type": "bool", "default": False},
        # The run
        "holder": {"type": "str"},
        "lease_seconds": {"type": "int", "default": 900},
        "watchdog": {"type": "dict", "options": OPTIONS},
        "textfile": {"type": "path"},
    },
    required_if=[("state", "promoted", ["canary"])],
    mutually_exclusive=[["steps", "shape"]],
)
_MINIMUMS: t.Final = {"retire_after": 0.0, "drain": 0.0, "headroom": 1.0, "capacity_timeout": 0.0}

SHOWS_PROGRESS: t.Final = True
"""A rollout takes minutes: the task shows each event when it happens."""


def run(params: Mapping[str, t.Any], context: Context) -> Result:
    """Work toward `state`, and return where the rollout stands. Raises CanaryError."""
    check(params)
    # The lock lasts as long as the old pods are kept; the plan extends it to its own waits.
    seconds = max(params["lease_seconds"], int(params["retire_after"]) + 120)
    cluster, service = Cluster.connect(params, context.env), service_of(params)
    lease = Lease(cluster, service, seconds, params["holder"], run=context.env.get(RUN, ""))
    kind = Promotion if params["state"] == "promoted" and not params["stable"] else _STATES[params["state"]]
    work = kind(cluster, service, lease, params, context)
    try:
        result = work.run()
    except CanaryError as error:
        # What failed knows its own writes only.
        error.details["changed"] = bool(error.details.get("changed")) or work.changed or error.maybe_written
        error.details.setdefault("lines", work.lines)
        error.details.setdefault("api_requests", cluster.requests)
        error.details.setdefault("warnings", list(dict.fromkeys([*work.warnings, *cluster.warnings])))
        raise
    result.setdefault("changed", False)
    result["state"] = params["state"]
    result["api_requests"] = cluster.requests
    result["warnings"] = list(dict.fromkeys([*work.warnings, *cluster.warnings]))
    return result


class _Present:
    """One task with state present."""

    def __init__(
        self, cluster: Cluster, service: ServiceRef, lease: Lease, params: Mapping[str, t.Any], context: Context
    ) -> None:
        self.session = Session(cluster, service, lease, params, context)

    @property
    def changed(self) -> bool:
        """Return False: this state only reads."""
        return False

    @property
    def lines(self) -> list[str]:
        """Return what was shown: nothing."""
        return []

    @property
    def warnings(self) -> list[str]:
        """Return the warnings for the result."""
        return self.session.warnings

    def run(self) -> Result:
        """Return where the rollout stands."""
        if not self.session.store.exists():
            return self.session.result()
        self.session.load()
        self.session.find_drift()
        return {**self.session.result(), "report": self.session.full_report()}


class _Work(t.Protocol):
    """What carries out one state. changed: whether it has written. lines: what was shown. warnings: for the result."""

    session: Session

    @property
    def changed(self) -> bool: ...

    @property
    def lines(self) -> list[str]: ...

    @property
    def warnings(self) -> list[str]: ...

    def run(self) -> Result: ...


_STATES: t.Final[dict[str, Callable[..., _Work]]] = {
    "promoted": Conductor,
    "rolled_back": Rollback,
    "present": _Present,
}


def check(params: Mapping[str, t.Any]) -> None:
    """Raise InvalidInput for a number that is out of range."""
    if not 10 <= params["lease_seconds"] <= MAX_WAIT_SECONDS:
        raise InvalidInput(f"lease_seconds must be between 10 and {MAX_WAIT_SECONDS:g}, not {params['lease_seconds']}.")
    for option, minimum in _MINIMUMS.items():
        if params[option] is not None and not minimum <= params[option] <= MAX_WAIT_SECONDS:
            raise InvalidInput(
                f"{option} must be between {minimum:g} and {MAX_WAIT_SECONDS:g}, not {params[option]:g}."
            )
