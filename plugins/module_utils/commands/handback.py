# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_handback: writes the final state of a service into the files of a Git checkout, and gives its objects back."""

from __future__ import annotations

import difflib
import typing as t

from ..checkout import Checkout
from ..errors import InvalidInput, Refused
from ..gitops import field_owners, pause
from ..kube.client import Cluster
from ..kube.resources import of_object
from ..manifests import manifest_files
from ..objects.metadata import full_name, identity
from ..objects.workloads import deployments_of, hpa_of
from ..routing import overview, plan
from ..runs.gitops import GitOpsPause
from ..runs.record_store import RunStore
from ..task.argument_spec import BY_PODS, CONNECTION, ArgSpec
from ..task.reading import ROUTES, Reader, api_of_routes, service_of

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot
    from ..task.context import Context

    Result = dict[str, t.Any]

FIELDS: t.Final = ("weight", "replicas", "min_replicas", "image", "repository", "tag")
SPEC: t.Final = ArgSpec(
    {
        **CONNECTION,
        **BY_PODS,
        "state": {"type": "str", "default": "committed", "choices": ["committed", "released"]},
        "repository": {"type": "path"},
        "branch": {"type": "str", "default": ""},
        "files": {"type": "list", "elements": "str", "default": []},
        "helm_values": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "file": {"type": "str", "required": True},
                "key": {"type": "str", "required": True, "no_log": False},
                "version": {"type": "str", "required": True},
                "field": {"type": "str", "required": True, "choices": list(FIELDS)},
            },
        },
        "commit_message": {"type": "str", "default": ""},
    },
    required_if=[("state", "committed", ["repository", "branch"])],
    required_by={"files": ["repository"], "helm_values": ["repository"]},
)
_LISTS: t.Final = ("services", "deployments", "hpas", "pods", *ROUTES)


def run(params: Mapping[str, t.Any], context: Context) -> Result:
    """Commit the final state, or release the objects. Raises CanaryError."""
    _check(params)
    work = _Handback(Cluster.connect(params, context.env), service_of(params), params, context)
    return work.committed() if params["state"] == "committed" else work.released()


def _check(params: Mapping[str, t.Any]) -> None:
    """Raise InvalidInput for options that cannot work."""
    if params["repository"] and not params["files"] and not params["helm_values"]:
        raise InvalidInput("files or helm_values must name the files of the checkout with the service's manifests.")
    if params["state"] == "committed" and not params["branch"]:
        raise InvalidInput("branch must name the branch of the commit, such as canary/reviews. It may be a new one.")


class _Handback:
    """One task."""

    def __init__(self, cluster: Cluster, service: ServiceRef, params: Mapping[str, t.Any], context: Context) -> None:
        self._cluster, self._service = cluster, service
        self._params, self._context = params, context
        self._where = f"{service.namespace}/{service.name}"

    def committed(self) -> Result:
        """Write the final state into a commit."""
        self._refuse_under_way()
        checkout, branch = Checkout(self._params["repository"]), self._params["branch"]
        base = checkout.base(branch)
        before, found = self._planned(checkout, base)
        commit = ""
        if found.contents and not self._context.check_mode:
            commit = checkout.commit(branch, base, found.contents, self._message())
        files = sorted(found.contents)
        if commit:
            msg = f"{self._where}: {len(files)} files are committed to {branch} ({commit[:12]}). Push it, and merge it."
        elif files:
            msg = f"{self._where}: {len(files)} files would be committed to {branch}."
        else:
            msg = f"{self._where}: the files have the state of the cluster already, so nothing is committed."
        return {
            **self._common(found.notes),
            "changed": bool(files),
            "msg": msg,
            "commit": commit,
            "branch": branch,
            "files": files,
            "manifests": found.found,
            "diff": _diff(before, found.contents),
        }

    def released(self) -> Result:
        """Resume the GitOps tools, and give the ownership of the fields back."""
        self._refuse_under_way()
        notes: list[str] = []
        if self._params["repository"]:
            checkout = Checkout(self._params["repository"])
            _before, found = self._planned(checkout, checkout.head)
            if found.contents:
                raise Refused(
                    f"{self._where} is not released, nothing was written: {', '.join(sorted(found.contents))} in "
                    f"{checkout.root} ({checkout.head[:12]}) have another state than the cluster, and the tool would "
                    "apply it. Merge the branch of the handback and pull, then run again."
                )
        else:
            notes.append("Whether Git has the state of the cluster was not checked, for repository is not set.")
        objects, _snapshot = self._objects()
        ours = [one for one in objects if field_owners.give_back(one) is not None]
        paused = [one for one in objects if self._where in pause.paused_for(one)]
        lines = [f"give the fields of {full_name(one)} back" for one in ours]
        lines += [f"resume {pause.tool_of(one) or 'the GitOps tool'} for {full_name(one)}" for one in paused]
        work = GitOpsPause(self._cluster, self._service)
        if not self._context.check_mode:
            for one in ours:
                work.write(of_object(str(one["apiVersion"]), str(one["kind"])), *identity(one), field_owners.give_back)
            work.end()
            notes += work.warnings
        return {
            **self._common(notes),
            "changed": bool(lines) or work.changed,
            "msg": f"{self._where}: {'; '.join(lines) or 'nothing to release'}.",
            "files": [],
            "manifests": {},
            "diff": {"before": "", "after": "".join(f"{line}\n" for line in lines)},
        }

    def _planned(self, checkout: Checkout, commit: str) -> tuple[dict[str, str], manifest_files.Handback]:
        """Return the texts of the files in a commit, and the handback into them."""
        objects, snapshot = self._objects()
        names = [*self._params["files"], *(one["file"] for one in self._params["helm_values"])]
        texts = checkout.files(commit, names, manifest_files.SUFFIXES)
        scaled = [full_name(one) for one in objects if one["kind"] == "Deployment" and hpa_of(snapshot, one)]
        return texts, manifest_files.handback(texts, objects, scaled, self._values(snapshot, objects, checkout))

    def _refuse_under_way(self) -> None:
        """Raise Refused while a rollout is in progress: its weights are no final state."""
        stored = RunStore(self._cluster, self._service).read()
        if stored is not None and not stored.run.over:
            raise Refused(
                f"A rollout of {self._where} is under way ({stored.run.phase.replace('_', ' ')}), so its state is not "
                "final. Nothing was written. Finish it or roll it back first."
            )

    def _objects(self) -> tuple[list[Object], Snapshot]:
        """Return the objects of the service that manifests are for: routes, Deployments and autoscalers."""
        snapshot = Reader(self._cluster, self._service, wide=True).snapshot(_LISTS, if_allowed=True)
        routes = [] if self._params["route_api"] == "replicas" else overview.routing_objects(snapshot, self._service)
        deployments = deployments_of(snapshot, self._service, {}) or []
        hpas = [one for one in (hpa_of(snapshot, deployment) for deployment in deployments) if one is not None]
        typed = [{"apiVersion": "apps/v1", "kind": "Deployment", **one} for one in deployments]
        return [*routes, *typed, *({"apiVersion": "autoscaling/v2", "kind": _HPA, **one} for one in hpas)], snapshot

    def _values(self, snapshot: Snapshot, objects: Sequence[Object], checkout: Checkout) -> list[manifest_files.Value]:
        """Return the values for Helm. Raises InvalidInput for a version or a field that the service does not have."""
        if not self._params["helm_values"]:
            return []
        by_pods = self._params["route_api"] == "replicas"
        api = api_of_routes(self._params["route_api"])
        description = {} if by_pods else plan.describe(snapshot, self._service, api=api)
        versions = [] if by_pods else overview.versions(snapshot, self._service, description, None)
        found = []
        for entry in self._params["helm_values"]:
            version, field = entry["version"], entry["field"]
            known = next((one for one in versions if one["version"] == version), None)
            names = [version] if known is None else list(known["deployments"] or ())
            deployments = [one for one in objects if one["kind"] == "Deployment" and identity(one)[1] in names]
            value = None
            if field == "weight" and known is not None:
                value = _whole(known["weight"])
            elif field != "weight" and len(deployments) == 1:
                value = _of_deployment(deployments[0], hpa_of(snapshot, deployments[0]), field)
            if value is None:
                there = ", ".join(str(one["version"]) for one in versions) or "none"
                raise InvalidInput(
                    f"helm_values: {field} of {version} is not known. {self._where} has the versions {there}; a "
                    "Deployment can be named instead, and min_replicas needs its autoscaler. Nothing was written."
                )
            found.append(
                manifest_files.Value(checkout.relative(entry["file"]), entry["key"], value, f"{field} of {version}")
            )
        return found

    def _message(self) -> str:
        given = self._params["commit_message"]
        return f"{given or f'{self._where}: the state after the rollout'}\n"

    def _common(self, notes: Sequence[str]) -> Result:
        return {
            "service": self._service.name,
            "namespace": self._service.namespace,
            "state": self._params["state"],
            "commit": "",
            "branch": "",
            "api_requests": self._cluster.requests,
            "warnings": [*notes, *self._cluster.warnings],
        }


_HPA: t.Final = "HorizontalPodAutoscaler"


def _of_deployment(deployment: Object, hpa: Object | None, field: str) -> t.Any:
    """Return one field of a Deployment, None if it has none that means it."""
    spec = deployment.get("spec") or {}
    if field == "replicas":
        return spec.get("replicas", 1)
    if field == "min_replicas":
        return None if hpa is None else (hpa.get("spec") or {}).get("minReplicas", 1)
    containers = spec["template"]["spec"]["containers"]
    image = str(containers[0]["image"])
    name, _slash, last = image.rpartition("/")
    repository, colon, tag = last.partition(":")
    if field == "image":
        return image
    if "@" in image or not colon:
        return None
    return tag if field == "tag" else f"{name}/{repository}" if name else repository


def _whole(number: t.Any) -> t.Any:
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _diff(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """Return the changes of the files as a unified diff."""
    lines = [
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        for path in sorted(after)
        for line in difflib.unified_diff(
            before[path].splitlines(keepends=True), after[path].splitlines(keepends=True), f"a/{path}", f"b/{path}"
        )
    ]
    return {"prepared": "".join(lines)}
