# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a report of a rollout is as it was written. Pure.

Hashes without a key show a change, not its author: whoever rewrites the whole report can compute new ones. So the head,
one hash over all, is also printed by the playbook, outside the report; and with a key the head is signed.
"""

from __future__ import annotations

import hmac
import typing as t

from . import record

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Report = Mapping[str, t.Any]

UNHASHED: t.Final = ("verified", "first_tampered", "tampered", "checksums", "head", "signature")
"""The parts of a report that describe its verification; all others have a checksum."""
MIN_HEAD_DIGITS: t.Final = 12


def checksummed(report: Report, key: str = "") -> dict[str, t.Any]:
    """Return the report with `checksums`, the hash of each of its parts, and `head`, the hash over these.

    key: signs the head; empty for no signature.
    """
    checksums = {name: record.digest(value) for name, value in report.items() if name not in UNHASHED}
    head = record.digest(checksums)
    return {**report, "checksums": checksums, "head": head, "signature": record.signature(key, head) if key else ""}


def tampered(report: Report, head: str = "", key: str = "") -> list[str]:
    """Return one sentence per part that is not as it was written; empty for a verified report.

    report: as canary_rollout returns it, or read from its file. head: the hash as it was printed, or at least its first
    12 digits. key: the rollout's record_key. Either of them also finds a report that was rewritten as a whole.
    """
    return [*_check_record(report), *_check_checksums(report), *_check_head(report, head), *_check_key(report, key)]


def record_inconsistencies(report: Report) -> list[str]:
    """Return the contradictions in a report without checksums, which is being made from a stored record."""
    return list(_check_record(report))


def _check_record(report: Report) -> Iterable[str]:
    events: Sequence[Report] = report["events"]
    first = record.first_tampered(events)
    if first is not None:
        yield f"events: the hashes do not match from entry {first + 1} on"
    last = events[-1] if events else {}
    if events and (last.get("to"), last.get("reason")) != (report["phase"], report["reason"]):
        yield (
            f"phase, reason or events: the last entry leads to {last.get('to')!r} ({last.get('reason')}), but the "
            f"report has {report['phase']!r} ({report['reason']}); entries are missing at the end, or one of them was "
            "changed"
        )
    if record.plan_hash(report["plan"]) != report["plan_hash"]:
        yield "plan: it does not match plan_hash"
    elif any(one.get("plan", report["plan_hash"]) != report["plan_hash"] for one in events):
        yield "plan: it is not the plan that the audit log begins with"
    if int(report["failed_requests"]) != sum(int(one.get("failed_requests") or 0) for one in events):
        yield "failed_requests: it is not the sum of the entries in the audit log"


def _check_checksums(report: Report) -> Iterable[str]:
    checksums: Report = report.get("checksums") or {}
    if not checksums:
        yield "checksums: there are none; an older release wrote the report, or they were removed"
        return
    for name in sorted({*checksums, *(name for name in report if name not in UNHASHED)}):
        if name not in report:
            yield f"{name}: it was removed"
        elif name not in checksums:
            yield f"{name}: it was added"
        elif record.digest(report[name]) != checksums[name]:
            yield f"{name}: it was changed"


def _check_head(report: Report, head: str) -> Iterable[str]:
    if report.get("checksums") and record.digest(report["checksums"]) != report.get("head"):
        yield "head: it is not the hash of the checksums"
    if head and (len(head) < MIN_HEAD_DIGITS or not str(report.get("head") or "").startswith(head)):
        yield f"head: the report's is {str(report.get('head'))[:MIN_HEAD_DIGITS]}..., not {head}"


def _check_key(report: Report, key: str) -> Iterable[str]:
    signature = str(report.get("signature") or "")
    if key and not signature:
        yield "signature: there is none; the rollout had no record_key, or the signature was removed"
    elif key and not hmac.compare_digest(
        signature.encode(), record.signature(key, record.digest(report.get("checksums") or {})).encode()
    ):
        yield "signature: it was not made with this key"
