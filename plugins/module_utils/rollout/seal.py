# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a report of a rollout is as it was written. Pure.

Hashes without a key show an edit, not its author: who edits everything can make new ones. So the head, one hash over
all, is also said where the report is not: in what the playbook prints.
"""

from __future__ import annotations

import typing as t

from . import record

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Told = Mapping[str, t.Any]

FOUND: t.Final = ("intact", "first_altered", "altered", "seals", "head")
"""What a report says about itself; all else is sealed."""
SHORTEST_HEAD: t.Final = 12


def sealed(report: Told) -> dict[str, t.Any]:
    """Return the report with `seals`, the hash of each of its parts, and `head`, the hash over these."""
    seals = {name: record.digest(value) for name, value in report.items() if name not in FOUND}
    return {**report, "seals": seals, "head": record.digest(seals)}


def altered(report: Told, head: str = "") -> list[str]:
    """Return what is not as it was written, a sentence each; nothing altered, nothing returned.

    report: as canary_rollout returns it, or read back from its file. head: the hash as it was printed, all of it or its
    beginning of 12 digits at least; then a report that was written anew as a whole is found, too.
    """
    return [*_of_record(report), *_of_seals(report), *_of_head(report, head)]


def of_record(report: Told) -> list[str]:
    """Return what contradicts itself in a report without seals: one that is being made from a stored record."""
    return list(_of_record(report))


def _of_record(report: Told) -> Iterable[str]:
    events: Sequence[Told] = report["events"]
    first = record.first_altered(events)
    if first is not None:
        yield f"events: from entry {first + 1} on the hashes do not follow"
    last = events[-1] if events else {}
    if events and (last.get("to"), last.get("reason")) != (report["phase"], report["reason"]):
        yield (
            f"phase, reason or events: the last entry leads to {last.get('to')!r} ({last.get('reason')}), the report "
            f"says {report['phase']!r} ({report['reason']}); entries are missing at the end, or one of both was edited"
        )
    if record.plan_hash(report["plan"]) != report["plan_hash"]:
        yield "plan: it is not the one that its hash was made of"
    elif any(one.get("plan", report["plan_hash"]) != report["plan_hash"] for one in events):
        yield "plan: it is not the one that the trail began with"
    if int(report["harmed"]) != sum(int(one.get("harmed") or 0) for one in events):
        yield "harmed: it is not the sum of what the trail says"


def _of_seals(report: Told) -> Iterable[str]:
    seals: Told = report.get("seals") or {}
    if not seals:
        yield "seals: there are none; the report is of an older release, or they were taken away"
        return
    for name in sorted({*seals, *(name for name in report if name not in FOUND)}):
        if name not in report:
            yield f"{name}: it was taken away"
        elif name not in seals:
            yield f"{name}: it was added"
        elif record.digest(report[name]) != seals[name]:
            yield f"{name}: it was edited"


def _of_head(report: Told, head: str) -> Iterable[str]:
    if report.get("seals") and record.digest(report["seals"]) != report.get("head"):
        yield "head: it is not the hash over the seals"
    if head and (len(head) < SHORTEST_HEAD or not str(report.get("head") or "").startswith(head)):
        yield f"head: the report's is {str(report.get('head'))[:SHORTEST_HEAD]}..., and {head} was asked for"
