# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of a release in one cluster. Pure.

Whoever may edit ConfigMaps can change it. So it is a hint: it can only make a release wait, repeat or go back. What
the services have reached is in their own records and routes.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import asdict, dataclass, field, replace

from ..errors import Refused

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .data import Release

Phase = t.Literal["shifting", "shifted", "rolling_back", "rolled_back", "finishing", "finished"]
PHASES: t.Final[tuple[Phase, ...]] = t.get_args(Phase)
ENDED: t.Final[tuple[Phase, ...]] = ("rolled_back", "finished")
LABEL: t.Final = "canary.meshops.io/release"
MAX_ENTRIES: t.Final = 200
MAX_CHARS: t.Final = 500


@dataclass(frozen=True)
class ReleaseRecord:
    """What is known of a release in one cluster.

    since: Unix seconds at which the phase began. rollouts: `namespace/service` -> ID of its rollout.
    decided: entries `{at, by, phase, reason}`, oldest first.
    """

    name: str
    cluster: str
    phase: Phase
    since: float
    ticket: str = ""
    wave: str = ""
    waves: tuple[str, ...] = ()
    rollouts: Mapping[str, str] = field(default_factory=dict)
    decided: tuple[dict[str, str], ...] = ()

    def moved(self, phase: Phase, now: float, at: str, by: str, reason: str) -> ReleaseRecord:
        """Return the record in another phase. now: Unix seconds; at: the same as text."""
        entry = {"at": at, "by": by, "phase": phase, "reason": reason[:MAX_CHARS]}
        since = self.since if phase == self.phase else now
        return replace(self, phase=phase, since=since, decided=(*self.decided, entry)[-MAX_ENTRIES:])


def object_name(name: str) -> str:
    """Return the name of the ConfigMap of a release."""
    return f"canary-release-{name}"


def first(release: Release, cluster: str, wave: str, now: float) -> ReleaseRecord:
    """Return the record of a release that begins. now: Unix seconds."""
    return ReleaseRecord(release.name, cluster, "shifting", now, release.ticket, wave, release.waves)


def dump(record: ReleaseRecord) -> str:
    """Return the record as it is stored."""
    return json.dumps(asdict(record), sort_keys=True)


def parse(text: t.Any, where: str) -> ReleaseRecord:
    """Return the stored record. where: the ConfigMap, for messages. Raises Refused if it is not readable."""
    try:
        found = json.loads(text)
        phase = found["phase"]
        if phase not in PHASES:
            raise ValueError(f"phase {str(phase)[:40]} is unknown")
        return ReleaseRecord(
            name=_text(found["name"]),
            cluster=_text(found["cluster"]),
            phase=phase,
            since=float(found["since"]),
            ticket=_text(found["ticket"]),
            wave=_text(found["wave"]),
            waves=tuple(_text(one) for one in found["waves"]),
            rollouts={_text(key): _text(value) for key, value in found["rollouts"].items()},
            decided=tuple(
                {key: _text(one[key]) for key in ("at", "by", "phase", "reason")} for one in found["decided"]
            )[-MAX_ENTRIES:],
        )
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise Refused(
            f"{where} should have the record of a release, but it is not readable: {error}. Inspect it, and delete it "
            "if it is none of yours. The records of the services are separate, so nothing is lost."
        ) from error


def _text(value: t.Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:40]} is not a text")
    return value[:MAX_CHARS]
