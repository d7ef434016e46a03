# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a rollout remembers: small enough for a ConfigMap, and a trail that shows when it was altered. Pure."""

from __future__ import annotations

import hashlib
import json
import typing as t
from dataclasses import asdict, dataclass, field, replace

from .machine import ENDS, Event, Phase, follow

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VERSION: t.Final = 1


class Broken(ValueError):
    """The stored record is not one of ours, or of a newer release."""


@dataclass(frozen=True)
class Run:
    """Where a rollout stands. at: index of the step. since: epoch seconds at which the phase began.

    safe: weights (version -> percent) to go back to when everything else is lost. written: the weights last
    written, to find edits by others. calm, back: good verdicts in a row and steps back, see rollout.adapt.
    evidence: state of the sequential tests.
    image_before: stable's image at the beginning, to go back to; empty where shares are made by routes.
    stopped_in: the phase in which it was stopped. doubted: the last verdict was a weak failure that cost one step.
    cohort: the rollout's cohort as last written, in the words of cohort.words; empty where there is none.
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
    calm: int = 0
    back: int = 0
    evidence: Mapping[str, t.Sequence[float]] = field(default_factory=dict)
    reason: str = ""
    image_before: str = ""
    stopped_in: str = ""
    doubted: bool = False
    cohort: str = ""

    def after(self, event: Event, now: float, **fields: t.Any) -> Run:
        """Return the run after `event`; `since` moves only when the phase or the step does."""
        phase = follow(self.phase, event)
        moved = phase != self.phase or fields.get("at", self.at) != self.at
        if phase == "stopped":
            fields["stopped_in"] = self.phase
        return replace(self, phase=phase, since=now if moved else self.since, **fields)

    @property
    def over(self) -> bool:
        """Say whether the rollout has come to its end."""
        return self.phase in ENDS

    def dump(self) -> str:
        """Return the record as canonical JSON."""
        return _canonical({"version": VERSION, **asdict(self)})


def load(text: str) -> Run:
    """Return the run that `dump` wrote. Raises Broken with what is wrong."""
    try:
        raw = json.loads(text)
        if raw.pop("version") != VERSION:
            raise Broken("it was written by another release of the collection")
        return Run(**raw)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Broken(f"the record of the rollout cannot be read: {error}") from error


def plan_hash(plan: Mapping[str, t.Any]) -> str:
    """Return 12 hex digits that change when anything in the plan does."""
    return digest(plan)[:12]


def digest(value: t.Any) -> str:
    """Return the SHA-256 of a JSON value in its canonical text, as hex digits."""
    return hashlib.sha256(_canonical(value).encode()).hexdigest()


def chained(events: Sequence[Mapping[str, t.Any]], event: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return `event` with the hash that links it to the last of `events`."""
    before = events[-1]["hash"] if events else ""
    return {**event, "hash": _link(before, event)}


def first_altered(events: Sequence[Mapping[str, t.Any]]) -> int | None:
    """Return the index of the first event whose hash does not follow from the ones before; None when all do."""
    before = ""
    for index, event in enumerate(events):
        bare = {key: value for key, value in event.items() if key != "hash"}
        if event.get("hash") != _link(before, bare):
            return index
        before = event["hash"]
    return None


def _link(before: str, event: Mapping[str, t.Any]) -> str:
    return hashlib.sha256((before + _canonical(event)).encode()).hexdigest()


def _canonical(value: t.Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
