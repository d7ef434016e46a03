# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rollout step by step, for tests: what the conductor does between its actions, one call at a time.

`Direct("rollout", state="opened")` and the other states here work on runs/session.py as a run does that is killed after
each call. Events are written at once, and the holder is given.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.meshops.canary.plugins.module_utils.commands import rollout
from ansible_collections.meshops.canary.plugins.module_utils.errors import CanaryError
from ansible_collections.meshops.canary.plugins.module_utils.kube.client import Cluster
from ansible_collections.meshops.canary.plugins.module_utils.rollout import state_machine, transitions
from ansible_collections.meshops.canary.plugins.module_utils.runs.lock import Lease
from ansible_collections.meshops.canary.plugins.module_utils.runs.record_store import Superseded
from ansible_collections.meshops.canary.plugins.module_utils.runs.session import Session
from ansible_collections.meshops.canary.plugins.module_utils.task.context import ROLLBACK_NOTE
from ansible_collections.meshops.canary.plugins.module_utils.task.reading import service_of

Result = dict[str, t.Any]

_OPTIONS: dict[str, dict[str, t.Any]] = {
    "state": {"type": "str", "choices": ["opened", "recorded", "aborted", "closed"]},
    "run": {"type": "str"},
    "event": {"type": "str", "choices": list(state_machine.EVENTS)},
    "verdict": {"type": "dict"},
}
SPEC = dataclasses.replace(rollout.SPEC, options={**rollout.SPEC.options, **_OPTIONS}, required_if=())
STATES = tuple(_OPTIONS["state"]["choices"])


def run(params: t.Mapping[str, t.Any], context: t.Any) -> Result:
    """Do one step, and return the task's result."""
    cluster, service = Cluster.connect(params, context.env), service_of(params)
    lease = Lease(cluster, service, params["lease_seconds"], params["holder"])
    session = Session(cluster, service, lease, params, context)
    more: Result = {}
    try:
        more = _STEPS[params["state"]](session, lease, params, context)
    except CanaryError:
        if lease.newly_taken:
            lease.release()
        raise
    result = {"changed": session.changed or context.check_mode, **session.result(), **more, "state": params["state"]}
    return {**result, "api_requests": cluster.requests, "warnings": [*session.warnings, *cluster.warnings]}


def _opened(session: Session, lease: Lease, _params: t.Any, context: t.Any) -> Result:
    lease.seconds_since_renewal = lambda: None  # type: ignore[method-assign]  # each call is a run of its own
    session.begin()
    return {"diff": session.diff} if session.changed or context.check_mode else {}


def _recorded(session: Session, lease: Lease, params: t.Any, context: t.Any) -> Result:
    session.load()
    lease.extend_to(transitions.longest_wait(session.rollout))
    if not context.check_mode:
        lease.take()
    if params["run"] not in (None, session.run.id):
        raise Superseded(params["run"], session.stored)
    event, verdict, note = params["event"], params["verdict"], params["note"]
    if (
        context.terminal.rollback_requested()
        and session.run.phase != "rolling_back"
        and "abort" in state_machine.possible(session.run.phase)
    ):
        event, verdict, note = "abort", None, ROLLBACK_NOTE
    session.apply(event, verdict, note)
    if not context.check_mode:
        session.save()
    return {}


def _aborted(session: Session, _lease: Lease, params: t.Any, _context: t.Any) -> Result:
    aborted = session.abort(params["note"])
    return {} if aborted else {"changed": False}


def _closed(session: Session, _lease: Lease, params: t.Any, context: t.Any) -> Result:
    session.load()
    if params["run"] not in (None, session.run.id):
        superseded = session.stored.superseded
        if superseded is None or superseded.run.id != params["run"]:
            raise Superseded(params["run"], session.stored)
        session._stored = superseded
    released = False if context.check_mode else session.release()
    return {"report": session.full_report(), "changed": released or context.check_mode}


_STEPS: dict[str, t.Callable[..., Result]] = {
    "opened": _opened,
    "recorded": _recorded,
    "aborted": _aborted,
    "closed": _closed,
}
