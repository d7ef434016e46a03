# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a rollback and an immediate promotion share: the pods of one version, then all requests to it."""

from __future__ import annotations

import typing as t

from ..errors import CanaryError, NoRoutes
from ..objects import pod_counts
from ..rollout import cohort
from ..rollout.phases import Settings
from ..task.reading import missing
from ..writing import capacity, routes
from . import checks
from .actions import PODS_TO_COME, Actions, retried
from .session import Session

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..kube.client import Cluster
    from ..objects.hosts import ServiceRef
    from ..task.context import Context
    from .lock import Lease

    Result = dict[str, t.Any]
    Versions = list[dict[str, t.Any]]


class AllRequests:
    """One task that gives all requests to one version. messages: for the result, a sentence each."""

    def __init__(
        self, cluster: Cluster, service: ServiceRef, lease: Lease, params: Mapping[str, t.Any], context: Context
    ) -> None:
        self._cluster, self._service = cluster, service
        self._params, self._context = params, context
        self.session = Session(cluster, service, lease, params, context)
        self._actions = Actions(cluster, service, self.session, Settings(), params, context)
        self._messages: list[str] = []
        self._warnings: list[str] = []
        self._changed = False
        self._diff: dict[str, str] | None = None

    @property
    def changed(self) -> bool:
        """Return whether the task has written something so far."""
        return self._changed or self.session.changed

    @property
    def lines(self) -> list[str]:
        """Return what was shown, a line each."""
        return self._actions.lines

    @property
    def warnings(self) -> list[str]:
        """Return the warnings for the result."""
        return [*self._warnings, *self._actions.warnings, *self._actions.gitops.warnings, *self.session.warnings]

    def _versions(self) -> Versions:
        """Return the versions, [] for a service without any. Raises NoRoutes if the service does not exist."""
        found = checks.versions_of(self._cluster, self._service, self._actions.api, self._named())
        if not any(one.get("version") for one in found) and (sentence := missing(self._cluster, self._service)):
            raise NoRoutes(sentence, "Nothing was changed.")
        return found

    def _named(self) -> list[str]:
        """Return the versions of the options and of the last rollout, whose stable version may have no route now."""
        named = [str(self._params[option]) for option in ("stable", "canary") if self._params[option]]
        try:
            return [*named, *self.session.rollout.versions]
        except CanaryError:
            return named

    def _scale_up(self, versions: Versions, version: str, seconds: float) -> None:
        """Give a version the pods for all requests. Raises NotReady."""
        if not self._params["capacity"] or (checks.version(versions, version).get("weight") or 0) >= 100:
            return
        given = self._params["capacity_timeout"]
        options = self._actions.options(
            capacity.SPEC,
            version=version,
            pods=pods_for_all_requests(versions, version),
            wait_timeout=seconds if given is None else given,
        )
        result = capacity.write_capacity(self._cluster, options, self._context)
        self._changed |= bool(result["changed"])

    def _shift(self, version: str, *, forced: Sequence[str] = (), finalize: bool = False) -> None:
        """Give a version all requests; the cohort of a rollout ends."""
        to_come = PODS_TO_COME if self._context.check_mode and self._params["capacity"] else ()
        options = self._actions.options(
            routes.WEIGHT_SPEC,
            weights={version: 100},
            finalize=finalize,
            end_cohorts=[cohort.NAME],
            force=list(dict.fromkeys([*forced, *self._params["force"], *to_come])),
        )
        result = routes.write_weights(self._cluster, options, self._context)
        self._actions.show("canary_weight", result)
        self._changed |= bool(result["changed"])
        self._diff = result["diff"]
        self._warnings += result.get("warnings") or []
        self._messages.append(str(result["msg"]))

    def _restore_min_replicas(self, versions: Versions) -> None:
        if any(one.get("hpa") for one in versions):
            options = self._actions.options(capacity.SPEC, state="released")
            result = retried(lambda: capacity.write_capacity(self._cluster, options, self._context))
            self._changed |= bool(result["changed"])

    def _result(self, message: str = "") -> Result:
        known = self.session.result()
        messages = [*self._messages, *([message] if message else [])]
        return {
            **known,
            "msg": " ".join(messages),
            "messages": messages,
            "next": "",
            "lines": list(self._actions.lines),
            "changed": self.changed,
            **({"diff": self._diff} if self._diff else {}),
            **({"report": self.session.full_report()} if known["run"] else {}),
        }


def pods_for_all_requests(versions: list[dict[str, t.Any]], version: str) -> int:
    """Return the pods with which a version can serve everything.

    They follow from the load of the version with the largest weight if its CPU is measured. Otherwise the largest
    number of pods of a version that serves is assumed to be enough. Raises InvalidInput for an unknown version.
    """
    serving = sorted((one for one in versions if one.get("weight")), key=lambda one: float(one["weight"]))
    if serving and (serving[-1].get("hpa") or {}).get("cpu") is not None:
        return max(1, pod_counts.pods_for(versions, serving[-1]["version"], version, 100))
    return max([1, *(int(one["desired"]) for one in serving if one.get("desired"))])
