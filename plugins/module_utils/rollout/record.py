# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of a rollout, small enough for a ConfigMap, and an audit log that shows tampering. Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
import typing as t
from dataclasses import asdict, dataclass, field, replace

from .state_machine import ENDS, Event, Phase, next_phase

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VERSION: t.Final = 1


class InvalidRecord(ValueError):
    """The stored record has another format, or is of another release."""


@dataclass(frozen=True)
class Run:
    """The state of a rollout. at: index of the step. since: epoch seconds at which the phase began.

    safe: weights (version -> percent) that a rollback writes. written: the weights last written, to detect drift.
    consecutive_passes, step_backs: see rollout.adapt. gates: how many it has reached.
    evidence: state of the sequential tests.
    image_before: stable's image at the beginning, for the rollback; empty where routes make the shares.
    stopped_in: the phase in which it was stopped. weak_failure: the last verdict was a weak failure that cost one step.
    cohort: the rollout's cohort as last written, as described by cohort.describe; empty without one.
    """

    id: str
    service: str
    namespace: str
    plan_hash: str
    phase: Phase
    at: int
    since: float
    safe: Mapping[str, float]
    written: Mapping[str, float]
    consecutive_passes: int = 0
    step_backs: int = 0
    gates: int = 0
    evidence: Mapping[str, t.Sequence[float]] = field(default_factory=dict)
    reason: str = ""
    image_before: str = ""
    stopped_in: str = ""
    weak_failure: bool = False
    cohort: str = ""

    def after(self, event: Event, now: float, **fields: t.Any) -> Run:
        """Return the run after `event`; `since` moves only when the phase or the step does."""
        phase = next_phase(self.phase, event)
        moved = phase != self.phase or fields.get("at", self.at) != self.at
        if phase == "stopped":
            fields["stopped_in"] = self.phase
        if phase == "gated" and self.phase != "gated":
            fields["gates"] = self.gates + 1
        return replace(self, phase=phase, since=now if moved else self.since, **fields)

    @property
    def over(self) -> bool:
        """Return whether the rollout has ended."""
        return self.phase in ENDS

    def dump(self) -> str:
        """Return the record as canonical JSON."""
        return _canonical({"version": VERSION, **asdict(self)})


def plan_hash(plan: Mapping[str, t.Any]) -> str:
    """Return 12 hex digits that change when anything in the plan does."""
    return digest(plan)[:12]


def digest(value: t.Any) -> str:
    """Return the SHA-256 of a JSON value in its canonical form, as hex digits."""
    return hashlib.sha256(_canonical(value).encode()).hexdigest()


def signature(key: str, value: t.Any) -> str:
    """Return the HMAC-SHA256 of a JSON value in its canonical form, as hex digits. Only who has the key can make it."""
    return hmac.new(key.encode(), _canonical(value).encode(), hashlib.sha256).hexdigest()


def chained(events: Sequence[Mapping[str, t.Any]], event: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return `event` with the hash that links it to the last of `events`."""
    before = events[-1]["hash"] if events else ""
    return {**event, "hash": _link(before, event)}


def first_tampered(events: Sequence[Mapping[str, t.Any]]) -> int | None:
    """Return the index of the first event whose hash does not match the chain; None when all do."""
    before = ""
    for index, event in enumerate(events):
        content = {key: value for key, value in event.items() if key != "hash"}
        if event.get("hash") != _link(before, content):
            return index
        before = event["hash"]
    return None


def _link(before: str, event: Mapping[str, t.Any]) -> str:
    return hashlib.sha256((before + _canonical(event)).encode()).hexdigest()


def _canonical(value: t.Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
