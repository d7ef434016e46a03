# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a split may be another than the one intended. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..errors import InvalidInput
from . import split

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..findings import Finding

ALL_PODS: t.Final = "all pods"
"""How counts name requests that were sent to the service as a whole, to any version."""
LIKE: t.Final = 0.05
_TELLING: t.Final = frozenset(
    {
        "HOST_CLAIMED_TWICE",
        "ROUTE_APIS_MIXED",
        "SUBSET_UNKNOWN",
        "SUBSET_NOT_READY",
        "SINGLE_DESTINATION_AT_ZERO",
        "DESTINATION_RULE_SHADOWED",
        "GATEWAY_NOT_COVERED",
        "PORT_NOT_HTTP",
        "CALLER_WITHOUT_SIDECAR",
        "PODS_OUTSIDE_MESH",
        "AMBIENT_WITHOUT_WAYPOINT",
    }
)


@dataclass(frozen=True)
class Circumstances:
    """What is known besides the counts.

    by_caller: proxy -> version -> requests. ready: version -> ready pods. outside: requests the pods answered beyond
    those the callers' proxies sent, None if not counted. cohorts, sticky, mirrored: what else routes requests.
    retried: version -> attempts beyond the first, None if not counted. retrying: route -> how often it tries again.
    errors: answers of 500 and above. All three only where each attempt is counted.
    """

    by_caller: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    ready: Mapping[str, int] = field(default_factory=dict)
    outside: int | None = None
    cohorts: Sequence[str] = ()
    sticky: bool = False
    mirrored: Sequence[str] = ()
    findings: Sequence[Finding] = ()
    retried: Mapping[str, int] | None = None
    retrying: Mapping[str, int] = field(default_factory=dict)
    errors: int = 0


def likely(counts: Mapping[str, int], shares: Mapping[str, float], known: Circumstances, *, alpha: float) -> list[str]:
    """Return sentences, the most telling first; never empty, for the last resort is said too."""
    total = sum(counts.values())
    causes = [f"{one.code}: {one.object}: {one.reason}" for one in known.findings if one.code in _TELLING]
    if counts.get(ALL_PODS):
        causes.append(
            f"{counts[ALL_PODS]} of {total} requests were sent to the service as a whole: their callers do not hold "
            "the route (a second VirtualService, a gateway's own route, exportTo or a Sidecar resource hides it)."
        )
    causes += from_outside(known.outside, total)
    if _fits(counts, known.ready):
        told = ", ".join(f"{version} {ready}" for version, ready in sorted(known.ready.items()))
        causes.append(
            f"The counts fit the ready pods ({told}): callers seem to reach all pods alike, as without a route."
        )
    causes += _from_retries(known)
    causes += _deviating_callers(shares, known, alpha)
    if known.cohorts:
        causes.append(
            f"The requests of {_listed('cohort', known.cohorts)} are counted too; probes can tell them apart."
        )
    if known.mirrored:
        causes.append(f"Copies mirrored to {', '.join(known.mirrored)} are counted like requests.")
    if known.sticky:
        causes.append("Users keep their version, so requests follow the shares only as far as users make equally many.")
    return causes or [
        "None of the usual causes was found. tcp routes split connections, not requests; compare a caller's routes "
        "with istioctl proxy-config routes POD -o json."
    ]


def from_outside(outside: int | None, total: int) -> list[str]:
    """Return what to say if the pods answered notably more requests than the callers' proxies sent.

    The two are not read at one moment, so a few more or less mean nothing.
    """
    if outside is None or outside <= max(3.0, 0.01 * total):
        return []
    return [
        f"The pods answered {outside} requests more than the callers' proxies sent: somebody outside the mesh, or a "
        "proxy that was not read, calls them, and those requests follow no route."
    ]


def _from_retries(known: Circumstances) -> list[str]:
    """A retry stays with the version that was dealt, so a version that fails seems to get more than its share."""
    seen = {version: number for version, number in (known.retried or {}).items() if number}
    if seen:
        told = ", ".join(f"{version or ALL_PODS} {number}" for version, number in sorted(seen.items()))
        return [f"{sum(seen.values())} of the attempts counted were retries ({told}): one request, counted again."]
    if known.retried is None and known.retrying and known.errors:
        told = ", ".join(f"{route} up to {number} times" for route, number in known.retrying.items())
        return [
            f"{known.errors} answers were errors, and the proxies try again ({told}): each attempt is counted, so a "
            "version that fails seems to get more than its share."
        ]
    return []


def _fits(counts: Mapping[str, int], ready: Mapping[str, int]) -> bool:
    """Return whether the counts are as if every ready pod answered alike."""
    if len([one for one in ready.values() if one]) < 2 or set(counts) - set(ready):
        return False
    try:
        verdict = split.test_split(counts, ready)
    except InvalidInput:
        return False
    return verdict.verdict == "pass" and (verdict.p_value or 0.0) > LIKE


def _deviating_callers(shares: Mapping[str, float], known: Circumstances, alpha: float) -> list[str]:
    """Name callers whose own requests deviate, if others' do not."""
    verdicts = {
        caller: split.test_split(counts, shares, alpha=alpha)
        for caller, counts in known.by_caller.items()
        if sum(counts.values())
    }
    off = sorted(caller for caller, verdict in verdicts.items() if verdict.verdict == "fail")
    if not off or len(off) == len(verdicts):
        return []
    return [
        f"Only the requests of {_listed('caller', off)} deviate, those of {len(verdicts) - len(off)} others do not."
    ]


def _listed(what: str, names: Sequence[str]) -> str:
    return f"{what}{'s' if len(names) > 1 else ''} {', '.join(names)}"
