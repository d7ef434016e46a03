# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A promotion at once: first pods, then all requests, without steps and without a record."""

from __future__ import annotations

import json
import shlex
import typing as t

from ..errors import InvalidInput, NotReady, Refused
from ..rollout.plan_options import playbook_command
from ..writing import capacity
from . import checks
from .all_requests import AllRequests

if t.TYPE_CHECKING:
    Result = dict[str, t.Any]
    Versions = list[dict[str, t.Any]]

WAIT_FOR_PODS: t.Final = 300.0


class Promotion(AllRequests):
    """One task with state promoted and without a stable version."""

    def run(self) -> Result:
        """Promote the version, and return the result. Raises CanaryError."""
        version, old_pods = self._params["canary"], checks.number_of_pods(self._params["old_replicas"])
        self._refuse_during_a_rollout(version)
        versions = self._versions()
        others = [one for one in versions if one.get("version") and one["version"] != version]
        self._check(versions, others, version, old_pods)
        try:
            self._scale_up(versions, version, WAIT_FOR_PODS)
        except NotReady as error:
            error.msg += (
                " No request was shifted. Fix the pods and run again, with capacity_timeout to wait longer "
                "(-e capacity_timeout=SECONDS), or with capacity: false to continue with the pods that are ready "
                "(-e capacity=false)."
            )
            raise
        self._shift(version, finalize=True)
        self._restore_min_replicas(versions)
        for one in others if old_pods is not None else []:
            options = self._actions.options(capacity.SPEC, state="reduced", version=one["version"], pods=old_pods)
            self._changed |= bool(capacity.write_capacity(self._cluster, options, self._context)["changed"])
        names = ", ".join(one["version"] for one in others)
        rest = "their pods stay, so that a rollback is fast" if old_pods is None else f"they keep {old_pods} pods"
        return self._result(f"The other versions ({names}) get no requests; {rest}." if names else "")

    def _refuse_during_a_rollout(self, version: str) -> None:
        """Raise Refused: the rollout would stay unfinished, and resuming it would shift the requests again."""
        if not self.session.store.exists():
            return
        self.session.load()
        run = self.session.result()["run"]
        if run["over"]:
            return
        holder = f"held by {run['holder']}" if run["holder"] else "no process runs it"
        names = {"service": self._service.name, "ns": self._service.namespace, "stable": run["stable"]}
        command = playbook_command("rollout", **names, canary=version)
        plan = json.dumps({"steps": [100], "rollout_pause": 0, "rollout_analysis": False})
        raise Refused(
            f"{self._service.namespace}/{self._service.name} has a rollout under way: {run['canary']} takes over from "
            f"{run['stable']}, {run['phase'].replace('_', ' ')} at {run['weight']:g} %, {holder}. Resume it, see the "
            f"playbook status; or replace it by a rollout that promotes {version} without further steps: "
            f"{command} -e {shlex.quote(plan)} -e rollout_supersede=true"
        )

    def _check(self, versions: Versions, others: Versions, version: str, old_pods: int | None) -> None:
        """Refuse a version that does not exist, and pods that cannot go."""
        where = f"{self._service.namespace}/{self._service.name}"
        if not checks.version(versions, version):
            names = ", ".join(one["version"] for one in others) or "none"
            raise InvalidInput(
                f"canary: {where} has no version {version}. Its versions are {names}. Deploy it with the role "
                "meshops.canary.versions and give it a subset with meshops.canary.routing."
            )
        for one in others:
            known = {**one, "cohorts": {} if one.get("cohorts") == {"rollout": 100} else one.get("cohorts")}
            checks.check_old_replicas([known], one["version"], old_pods)
