# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_release: the services of a release in one cluster, in step."""

from __future__ import annotations

import time
import typing as t
from dataclasses import asdict, replace

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ..errors import ApiError, CanaryError, InvalidInput, Refused
from ..kube.client import Cluster
from ..objects.plain_text import plain_text
from ..release import data
from ..release import record as record_of_release
from ..rollout import transitions
from ..runs.lock import RUN, holder_identity
from ..runs.member import Member
from ..runs.plan_from_options import plan_from_options
from ..runs.release import ReleaseRun
from ..runs.release_store import ReleaseStore
from ..task.argument_spec import CONNECTION, ArgSpec
from ..task.reading import service_of
from ..writing import rights
from . import rollout

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..release.data import Entry, Release
    from ..release.record import ReleaseRecord
    from ..task.context import Context

    Result = dict[str, t.Any]

SPEC: t.Final = ArgSpec(
    {
        **CONNECTION,
        "state": {
            "type": "str",
            "default": "present",
            "choices": ["present", "checked", "shifted", "finished", "rolled_back"],
        },
        "release": {"type": "dict", "required": True},
        "cluster": {"type": "str", "default": ""},
        "wave": {"type": "str", "default": ""},
        "one_step": {"type": "bool", "default": False},
        "record_digests": {"type": "dict", "default": {}},
        "record_key": {"type": "str", "no_log": True},
        "note": {"type": "str", "default": ""},
        "also_promoted": {"type": "bool", "default": False},
        "early": {"type": "bool", "default": False},
        "outside_window": {"type": "bool", "default": False},
        "watch": {"type": "float", "default": 0.0},
        "holder": {"type": "str"},
    }
)
WATCH_EVERY: t.Final = 2.0
"""Seconds between two readings of where the services stand."""
SHOWS_PROGRESS: t.Final = True
"""A release takes minutes: the task shows each event when it happens."""


def run(params: Mapping[str, t.Any], context: Context) -> Result:
    """Work toward `state`, and return where the services stand. Raises CanaryError."""
    release = data.parse(params["release"], rollout.SPEC.options)
    work = _Work(release, params, context)
    try:
        result = _STATES[params["state"]](work)
    except CanaryError as error:
        error.details["changed"] = bool(error.details.get("changed")) or work.run.changed or error.maybe_written
        error.details.update({name: value for name, value in work.common().items() if name not in error.details})
        raise
    result.setdefault("changed", work.run.changed)
    return {**result, **work.common()}


class _Work:
    """One task. cluster_name: as people call the cluster."""

    def __init__(self, release: Release, params: Mapping[str, t.Any], context: Context) -> None:
        self.release, self.params, self.context = release, params, context
        self.cluster = Cluster.connect(params, context.env)
        self.cluster_name = params["cluster"] or params["context"] or self.cluster.host
        self.lines: list[str] = []
        logged = replace(context, log=lambda text: context.log(f"{self.cluster_name} | {text}"))
        self._holder = params["holder"] or _holder(context)
        self.members: list[Member] = []
        store = ReleaseStore(
            self.cluster, release, self.cluster_name, self._holder or holder_identity(_run(context))[0]
        )
        self.store = store
        prepared = [(one, self._options(one)) for one in release.services]
        seconds = max(_lease_seconds(options) for _entry, options in prepared)
        for entry, options in prepared:
            self.members.append(
                Member(
                    self.cluster,
                    entry,
                    {**options, "lease_seconds": seconds},
                    logged,
                    interrupt=self._interrupt,
                    show=self.show,
                )
            )
            self.members[-1].digest = str(params["record_digests"].get(entry.key) or "")
        self.run = ReleaseRun(
            release,
            self.members,
            self.store,
            self._shown(),
            wave=params["wave"],
            outside_window=params["outside_window"],
        )

    def common(self) -> Result:
        """Return the keys of every result."""
        return {
            "release": self.release.name,
            "cluster": self.cluster_name,
            "ticket": self.release.ticket,
            "state": self.params["state"],
            "lines": list(self.lines),
            "api_requests": self.cluster.requests,
            "warnings": list(dict.fromkeys([*self.run.warnings, *self.cluster.warnings])),
        }

    def _interrupt(self) -> None:
        self.run.together.interrupt()

    def _shown(self) -> Context:
        return replace(self.context, show=lambda _module, part: self.show(str(part["text"])))

    def show(self, line: str) -> None:
        """Show a line about this cluster, and keep it for the result."""
        line = f"{self.cluster_name} | {line}"
        self.lines.append(line)
        self.context.show("canary_release", {"text": line})

    def _options(self, entry: Entry) -> Result:
        """Return the options of the service's rollout, complete. Raises InvalidInput."""
        ticket = f", {self.release.ticket}" if self.release.ticket else ""
        note = self.params["note"] or f"release {self.release.name}{ticket}"
        names = {name: getattr(entry, name) for name in ("service", "namespace", "stable", "canary")}
        own = {"holder": self._holder, "record_key": self.params["record_key"], "note": note}
        fixed = {"state": "promoted", "must_promote": False, "retire_after": 0.0, "steps": list(self.release.steps)}
        given = {**entry.options, **names, **fixed, **own}
        given = {name: value for name, value in given.items() if value is not None}
        validated = ArgumentSpecValidator(rollout.SPEC.options, **rollout.SPEC.rules()).validate(given)
        if validated.error_messages:
            raise InvalidInput(f"canary_release: {entry.key}: {'; '.join(validated.error_messages)}")
        options = dict(validated.validated_parameters)
        try:
            rollout.check(options)
            plan_from_options(service_of(options), options)
        except InvalidInput as error:
            error.msg = f"canary_release: {entry.key}: {error.msg}"
            raise
        return options


def _run(context: Context) -> str:
    return context.env.get(RUN, "")


def _holder(context: Context) -> str | None:
    """Return the identity that all services share where the playbook has given none; None where it has."""
    return None if _run(context) else holder_identity("")[0]


def _lease_seconds(options: Mapping[str, t.Any]) -> int:
    """Return how long the lock must last while the other services are judged."""
    plan = plan_from_options(service_of(options), options)
    return max(int(options["lease_seconds"]), int(transitions.longest_wait(plan)))


def _shifted(work: _Work) -> Result:
    if work.context.check_mode:
        return _planned(work)
    result = work.run.shift(one_step=work.params["one_step"])
    share = "all requests are on the new versions; the old pods stay" if not result["next"] else "the step has passed"
    return {**result, "msg": f"Release {work.release.name}: {share}."}


def _checked(work: _Work) -> Result:
    """Check the rights and the first changes of all services. Raises Refused with a table of what is wrong."""
    record = work.store.read()
    work.run.check_window(record)
    problems, plans = _check_all(work)
    if problems:
        sentences = "; ".join(f"{one['namespace']}/{one['service']}: {one['problem']}" for one in problems)
        raise Refused(
            f"Release {work.release.name} cannot begin in {work.cluster_name}, nothing was written: {sentences}",
            problems=problems,
            record_phase=record.phase if record else "",
        )
    return {
        "msg": f"Release {work.release.name}: {len(work.members)} services can begin or go on.",
        "problems": [],
        "services": plans,
        "record_phase": record.phase if record else "",
        "changed": False,
    }


def _planned(work: _Work) -> Result:
    """Return what a release would do, in check mode. Raises Refused with a table of what is wrong."""
    result = _checked(work)
    changes = [f"{one['namespace']}/{one['service']}: {line}" for one in result["services"] for line in one["plan"]]
    after = "".join(f"{line}\n" for line in changes)
    return {
        **result,
        "next": "",
        "record_digests": {},
        "reason": "",
        "planned_changes": changes,
        "diff": {"before": "", "after": after},
        "changed": any(one["changed"] for one in result["services"]),
    }


def _check_all(work: _Work) -> tuple[list[Result], list[Result]]:
    """Return what is wrong, and what each service would do."""
    found: dict[str, Result] = {}
    problems: dict[str, list[Result]] = {one.key: [] for one in work.members}

    def check(member: Member) -> None:
        try:
            found[member.key] = member.check()
        except CanaryError as error:
            problems[member.key].append(_problem(member.entry, error.code, error.msg))

    missing = rights.missing_for_records(work.cluster, {one.namespace for one in work.release.services})
    for member in work.members:
        problems[member.key] += [
            _problem(member.entry, "NO_PERMISSION", text) for text in missing.get(member.entry.namespace, ())
        ]
    work.run.together.run({one.key: _checking(check, one) for one in work.members})
    if (failure := work.run.together.first_failure()) is not None:
        raise failure[1]
    plans = [
        {
            "service": one.entry.service,
            "namespace": one.entry.namespace,
            "stable": one.entry.stable,
            "canary": one.entry.canary,
            "result": str((found[one.key].get("run") or {}).get("phase") or ""),
            "msg": str(found[one.key]["msg"]),
            "rollout": "",
            "step": int((found[one.key].get("run") or {}).get("at", -1)) + 1,
            "plan": [*found[one.key].get("plan_text", ()), *found[one.key].get("planned_changes", ())],
            "changed": bool(found[one.key].get("changed")),
        }
        for one in work.members
        if one.key in found
    ]
    return [problem for one in work.members for problem in problems[one.key]], plans


def _checking(check: Callable[[Member], None], member: Member) -> Callable[[], None]:
    return lambda: check(member)


def _problem(entry: Entry, code: str, text: str) -> Result:
    return {"service": entry.service, "namespace": entry.namespace, "code": code, "problem": text}


def _finished(work: _Work) -> Result:
    result = work.run.finish(early=work.params["early"])
    return {**result, "msg": f"Release {work.release.name} is finished: every service is promoted."}


def _rolled_back(work: _Work) -> Result:
    result = work.run.roll_back(work.params["note"], also_promoted=work.params["also_promoted"])
    return {**result, "msg": f"Release {work.release.name}: every service is back on its stable version."}


def _present(work: _Work) -> Result:
    """Return where the release and its services stand; what cannot be read is said in its place."""
    ends, lines = time.monotonic() + work.params["watch"], dict.fromkeys((one.key for one in work.members), "")
    record, rows = _look(work)
    while (left := ends - time.monotonic()) > 0 and not (record and record.phase in record_of_release.ENDED):
        _show_changes(work, rows, lines)
        time.sleep(min(WATCH_EVERY, left))
        try:
            record, rows = _look(work)
        except ApiError as error:  # an API server that restarts does not end the watch
            rows = [{**one, "result": "unknown", "weight": None, "msg": error.msg} for one in rows]
    if work.params["watch"]:
        _show_changes(work, rows, lines)
    phase = record.phase if record else ""
    return {
        "msg": f"Release {work.release.name}: {phase.replace('_', ' ') or 'not begun'} in {work.cluster_name}.",
        "services": rows,
        "record_phase": phase,
        "record": asdict(record) if record else None,
        "changed": False,
    }


def _look(work: _Work) -> tuple[ReleaseRecord | None, list[Result]]:
    """Return the record of the release, and where each service stands."""
    return work.store.read(), [_row(one) for one in work.members]


def _show_changes(work: _Work, rows: Sequence[Result], lines: dict[str, str]) -> None:
    """Show a line for each service that stands elsewhere than its line says. lines: key -> line, updated."""
    for member, row in zip(work.members, rows, strict=True):
        weight = "" if row["weight"] is None else f"{row['weight']:g}%"
        step = f"step {row['step']}/{row['steps']}" if row["step"] else ""
        shown = (f"{member.key} {row['stable']} -> {row['canary']}", step, row["result"].replace("_", " "), weight)
        line = plain_text(" | ".join(filter(None, (*shown, row["msg"]))))
        if line != lines[member.key]:
            lines[member.key] = line
            work.show(line)


def _row(member: Member) -> Result:
    """Return where a service stands, as RETURN describes it."""
    entry = member.entry
    names = {name: getattr(entry, name) for name in ("service", "namespace", "stable", "canary")}
    try:
        return {**names, **member.stands()}
    except CanaryError as error:
        unknown = {"step": 0, "steps": 0, "weight": None, "holder": "", "rollout": ""}
        return {**names, "result": "unknown", "msg": error.msg, **unknown}


_STATES: t.Final[dict[str, Callable[[_Work], Result]]] = {
    "present": _present,
    "checked": _checked,
    "shifted": _shifted,
    "finished": _finished,
    "rolled_back": _rolled_back,
}
