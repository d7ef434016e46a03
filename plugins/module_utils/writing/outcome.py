# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Collects the result of a task that writes: the same keys in success, check mode and failure."""

from __future__ import annotations

import typing as t

from ..mesh.convergence import Convergence

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..findings import Finding
    from ..kube.client import Cluster
    from ..objects.change import Change, Plan
    from ..objects.hosts import ServiceRef
    from .writer import Writer


class Outcome:
    """The result of one task, as it is collected."""

    def __init__(self, service: ServiceRef, params: Mapping[str, t.Any]) -> None:
        self._service, self._params = service, params
        self._plan: Plan | None = None
        self._convergence = Convergence("none")
        self._findings: list[Finding] = []
        self._warnings: list[str] = []

    def planned(self, plan: Plan) -> None:
        """Set the plan of the result; after a conflict this is the second plan."""
        self._plan = plan
        self.warn(plan.notes)

    @property
    def changes(self) -> Sequence[Change]:
        """Return the changes of the plan; none before there is one."""
        return self._plan.changes if self._plan else ()

    def converged(self, convergence: Convergence) -> None:
        """Set what is known about the proxies, in place of what was known before."""
        self._convergence = convergence

    def found(self, findings: Iterable[Finding]) -> None:
        """Set the findings, in place of those of an earlier plan."""
        self._findings = list(findings)

    def warn(self, sentences: Iterable[str]) -> None:
        """Add warnings for the task's output."""
        self._warnings += [one for one in sentences if one not in self._warnings]

    def failure(self, cluster: Cluster, *, changed: bool) -> dict[str, t.Any]:
        """Return the keys of a failed task other than its message."""
        return {
            "changed": changed,
            "service": self._service.name,
            "namespace": self._service.namespace,
            "convergence": self._convergence.as_dict(),
            "api_requests": cluster.requests,
            "warnings": [*self._warnings, *cluster.warnings],
            **({"patch": _patches(self._plan.changes)} if self._plan else {}),
        }

    def result(self, cluster: Cluster, writer: Writer, *, changed: bool) -> dict[str, t.Any]:
        """Return the result of a successful task."""
        plan = self._plan
        if plan is None:
            raise RuntimeError("the result needs a plan")
        answer: dict[str, t.Any] = {
            "changed": changed,
            "msg": self._sentence(plan, writer, changed=changed),
            "service": self._service.name,
            "namespace": self._service.namespace,
            "host": plan.host or self._service.fqdn,
            "route_api": plan.route_api,
            "weights": dict(plan.weights_after),
            "weights_before": dict(plan.weights_before),
            "cohorts": dict(plan.cohorts),
            "objects": [dict(one) for one in plan.objects],
            "patch": _patches([*(change for change, _stored in writer.written), *writer.uncertain] or plan.changes),
            "findings": [one.as_dict() for one in self._findings],
            "convergence": self._convergence.as_dict(),
            "api_requests": cluster.requests,
            "diff": self._diff(plan),
            "warnings": [*self._warnings, *cluster.warnings],
        }
        if self._params["return_object"]:
            answer["resources"] = [_without_managed_fields(obj) for obj in _final_objects(plan, writer)]
        return answer

    def _sentence(self, plan: Plan, writer: Writer, *, changed: bool) -> str:
        if not changed:
            return f"{self._service.name}: nothing to change."
        if writer.uncertain and not writer.written:
            return f"{self._service.name}: nothing is left to change. {writer.warnings[0]}"
        done = "; ".join(plan.summary) or f"{self._service.name}: changed"
        if self._convergence.without_effect:
            return f"{done} (without effect at {len(self._convergence.pending)} of {self._convergence.proxies} proxies)"
        if self._convergence.method == "proxies":
            return f"{done} ({self._convergence.checked} proxies have it after {self._convergence.seconds:.1f} s)"
        return done

    def _diff(self, plan: Plan) -> dict[str, str]:
        header = ", ".join(change.object for change in plan.changes) or self._service.fqdn
        return {
            "before": plan.diff_before,
            "after": plan.diff_after,
            "before_header": header,
            "after_header": header,
        }


def _patches(changes: Iterable[Change]) -> list[dict[str, t.Any]]:
    """Return what is written, in order. object: the whole object where it is created."""
    return [
        {
            "api_version": change.api_version,
            "kind": change.kind,
            "namespace": change.namespace,
            "name": change.name,
            "operation": change.verb,
            "patch": [dict(one) for one in change.patch],
            "object": change.after if change.before is None else None,
        }
        for change in changes
    ]


def _final_objects(plan: Plan, writer: Writer) -> list[dict[str, t.Any]]:
    if writer.written:
        return [stored for _change, stored in writer.written if stored]
    return [change.after for change in plan.changes if change.after]


def _without_managed_fields(obj: dict[str, t.Any]) -> dict[str, t.Any]:
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    return {**obj, "metadata": metadata}
