# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the parts of a stored record with their types and bounds: others can write it. Pure.

Whatever the ConfigMap holds, the result is a valid record or InvalidRecord with the part that is wrong.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import typing as t
from collections.abc import Mapping

from ..errors import InvalidInput
from . import steps as plans
from .record import VERSION, InvalidRecord, Run
from .state_machine import PHASES
from .steps import Rollout

Parse = t.Callable[[t.Any, str], t.Any]

MAX_CHARS: t.Final = 1_048_576
"""A ConfigMap cannot be larger."""
MAX_TEXT: t.Final = 500_000
_ID: t.Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,39}")
_YEAR_9999: t.Final = 253_402_300_000.0


def parse_json(text: str, where: str) -> t.Any:
    """Return the value of a JSON text. Raises InvalidRecord, also for one that is too large or nested too deeply."""
    if not isinstance(text, str) or len(text) > MAX_CHARS:
        raise InvalidRecord(f"{where} is no text of at most {MAX_CHARS} characters")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRecord(f"{where} is not JSON: {str(error) or 'nested too deeply'}") from error


def parse_run(text: str) -> Run:
    """Return the run that `Run.dump` wrote. Raises InvalidRecord."""
    raw = dict(_mapping(parse_json(text, "run"), "run"))
    if raw.pop("version", None) != VERSION:
        raise InvalidRecord("another release of the collection wrote it")
    return Run(**_fields(raw, _RUN, "run", {one.name for one in dataclasses.fields(Run)}))


def parse_plan(text: str) -> Rollout:
    """Return the plan of a record. Raises InvalidRecord."""
    raw = dict(_mapping(parse_json(text, "plan"), "plan"))
    listed = raw.pop("steps", None)
    if not isinstance(listed, list):
        raise InvalidRecord("plan.steps is no list")
    try:
        steps = plans.steps_from({"steps": [_step(one, index) for index, one in enumerate(listed)]})
        known = {one.name for one in dataclasses.fields(Rollout)} - {"steps"}
        rollout = Rollout(**_fields(raw, _PLAN, "plan", known), steps=steps)
        return dataclasses.replace(rollout, steps=plans.by_pods(steps)) if rollout.by_pods else rollout
    except InvalidInput as error:
        raise InvalidRecord(f"plan: {error.msg}") from error


def parse_events(text: str) -> list[dict[str, t.Any]]:
    """Return the audit log. Raises InvalidRecord."""
    listed = parse_json(text, "events")
    if not isinstance(listed, list):
        raise InvalidRecord("events is no list")
    for index, entry in enumerate(listed):
        where = f"events[{index}]"
        for name in ("event", "from", "to", "reason", "at", "by", "hash"):
            _text(_mapping(entry, where).get(name), f"{where}.{name}")
        _whole(entry.get("step"), f"{where}.step")
        for name in ("count", "failed_requests"):
            _whole(entry.get(name, 0), f"{where}.{name}")
    return listed


def parse_mapping(text: str, where: str) -> dict[str, t.Any]:
    """Return a JSON object with texts as keys. Raises InvalidRecord."""
    return dict(_mapping(parse_json(text, where), where))


def _fields(raw: Mapping[str, t.Any], parsers: Mapping[str, Parse], where: str, known: set[str]) -> dict[str, t.Any]:
    unknown = sorted(set(raw) - known)
    if unknown:
        raise InvalidRecord(f"{where} has the unknown field {unknown[0][:80]!r}")
    missing = [name for name in parsers if name not in raw and name in _REQUIRED]
    if missing:
        raise InvalidRecord(f"{where} has no {missing[0]}")
    return {name: parsers[name](value, f"{where}.{name}") for name, value in raw.items()}


def _step(raw: t.Any, index: int) -> dict[str, t.Any]:
    """Return a step as an option of a rollout: a stored cohort is the list of its matches."""
    step = dict(_mapping(raw, f"plan.steps[{index}]"))
    cohort = step.get("cohort") or []
    if not isinstance(cohort, list):
        raise InvalidRecord(f"plan.steps[{index}].cohort is no list")
    return {**step, "cohort": {"match": cohort} if cohort else {}}


def _mapping(value: t.Any, where: str) -> Mapping[str, t.Any]:
    if not isinstance(value, Mapping):
        raise InvalidRecord(f"{where} is no object")
    return value


def _text(value: t.Any, where: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise InvalidRecord(f"{where} is no text of at most {MAX_TEXT} characters")
    return value


def _id(value: t.Any, where: str) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise InvalidRecord(f"{where} is no ID of a rollout")
    return value


def _phase(value: t.Any, where: str) -> str:
    if value not in PHASES:
        raise InvalidRecord(f"{where} is no phase of a rollout")
    return str(value)


def _stopped_in(value: t.Any, where: str) -> str:
    return "" if value == "" else _phase(value, where)


def _bool(value: t.Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidRecord(f"{where} is neither true nor false")
    return value


def _whole(value: t.Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1_000_000_000:
        raise InvalidRecord(f"{where} is no whole number from 0 on")
    return value


def _number(value: t.Any, where: str, maximum: float) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not 0 <= value <= maximum:
        raise InvalidRecord(f"{where} is no number from 0 to {maximum:g}")
    return float(value)


def _time(value: t.Any, where: str) -> float:
    return _number(value, where, _YEAR_9999)


def _weights(value: t.Any, where: str) -> dict[str, float]:
    return {
        _text(name, where): _number(share, f"{where}.{name}", 100) for name, share in _mapping(value, where).items()
    }


def _evidence(value: t.Any, where: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for name, state in _mapping(value, where).items():
        numbers = isinstance(state, list) and all(
            isinstance(one, (int, float)) and not isinstance(one, bool) and not math.isnan(one) for one in state
        )
        if not numbers:
            raise InvalidRecord(f"{where}.{name[:80]} is no list of numbers")
        found[_text(name, where)] = list(state)
    return found


_RUN: t.Final[dict[str, Parse]] = {
    "id": _id,
    "service": _text,
    "namespace": _text,
    "plan_hash": _text,
    "phase": _phase,
    "at": _whole,
    "since": _time,
    "safe": _weights,
    "written": _weights,
    "consecutive_passes": _whole,
    "step_backs": _whole,
    "gates": _whole,
    "evidence": _evidence,
    "reason": _text,
    "image_before": _text,
    "stopped_in": _stopped_in,
    "weak_failure": _bool,
    "cohort": _text,
}
_PLAN: t.Final[dict[str, Parse]] = {
    "service": _text,
    "namespace": _text,
    "stable": _text,
    "canary": _text,
    "adapt": _bool,
    "keep": _weights,
    "image": _text,
    "container": _text,
    "baseline": _text,
}
_REQUIRED: t.Final = frozenset(
    {"id", "service", "namespace", "plan_hash", "phase", "at", "since", "safe", "written", "stable", "canary"}
)
