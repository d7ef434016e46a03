# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Likely causes when the measured split differs from the intended one. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..errors import InvalidInput
from . import split

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..findings import Finding

ALL_PODS: t.Final = "all pods"
"""Name in the counts for requests sent to the service as a whole, to any version."""
PODS_FIT_P_VALUE: t.Final = 0.05
"""Above this p-value the counts are said to fit the ratio of ready pods."""
_CAUSAL_CODES: t.Final = frozenset(
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
        "WAYPOINT_NOT_WORKING",
        "WAYPOINT_IGNORES_ROUTE",
        "WAYPOINT_IGNORES_MATCH",
        "GATEWAY_ROUTES_AT_WAYPOINT",
    }
)


@dataclass(frozen=True)
class SplitContext:
    """What is known besides the counts.

    by_caller: proxy -> version -> requests. ready: version -> ready pods. outside: requests that the pods answered
    beyond those that the callers' proxies sent, None if not counted. cohorts, sticky, mirrored: what else routes
    requests. retried: version -> attempts beyond the first, None if not counted. route_retries: route -> number of
    retries it allows. errors: answers of 500 and above. The last three apply only where each attempt is counted.
    """

    by_caller: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    ready: Mapping[str, int] = field(default_factory=dict)
    outside: int | None = None
    cohorts: Sequence[str] = ()
    sticky: bool = False
    mirrored: Sequence[str] = ()
    findings: Sequence[Finding] = ()
    retried: Mapping[str, int] | None = None
    route_retries: Mapping[str, int] = field(default_factory=dict)
    errors: int = 0


def likely_causes(
    counts: Mapping[str, int], shares: Mapping[str, float], known: SplitContext, *, alpha: float
) -> list[str]:
    """Return sentences, the most likely first; never empty."""
    total = sum(counts.values())
    causes = [f"{one.code}: {one.object}: {one.reason}" for one in known.findings if one.code in _CAUSAL_CODES]
    if counts.get(ALL_PODS):
        causes.append(
            f"{counts[ALL_PODS]} of {total} requests were sent to the service as a whole: their callers do not have "
            "the route (a second VirtualService, a gateway's own route, exportTo or a Sidecar resource hides it)."
        )
    causes += outside_traffic_notes(known.outside, total)
    if _fits(counts, known.ready):
        pods = ", ".join(f"{version} {ready}" for version, ready in sorted(known.ready.items()))
        causes.append(
            f"The counts fit the ready pods ({pods}): callers seem to reach all pods equally, as without a route."
        )
    causes += _from_retries(known)
    causes += _deviating_callers(shares, known, alpha)
    if known.cohorts:
        causes.append(
            f"The requests of {_listed('cohort', known.cohorts)} are counted too; only probes can count without them."
        )
    if known.mirrored:
        causes.append(f"Copies mirrored to {', '.join(known.mirrored)} are counted like requests.")
    if known.sticky:
        causes.append("The routes are sticky: requests follow the shares only if all users send equally many.")
    return causes or [
        "None of the usual causes was found. tcp routes split connections, not requests; compare a caller's routes "
        "with istioctl proxy-config routes POD -o json."
    ]


def outside_traffic_notes(outside: int | None, total: int) -> list[str]:
    """Return a note if the pods answered clearly more requests than the callers' proxies sent.

    The two are not read at the same moment, so a difference of a few requests means nothing.
    """
    if outside is None or outside <= max(3.0, 0.01 * total):
        return []
    return [
        f"The pods answered {outside} requests more than the callers' proxies sent. A caller outside the mesh, or one "
        "whose proxy was not read, sends them, and those requests follow no route."
    ]


def _from_retries(known: SplitContext) -> list[str]:
    """A retry goes to the same version, so a version that fails seems to get more than its share."""
    seen = {version: number for version, number in (known.retried or {}).items() if number}
    if seen:
        retried = ", ".join(f"{version or ALL_PODS} {number}" for version, number in sorted(seen.items()))
        return [f"{sum(seen.values())} of the counted attempts were retries ({retried}): one request, counted again."]
    if known.retried is None and known.route_retries and known.errors:
        routes = ", ".join(f"{route} up to {number} times" for route, number in known.route_retries.items())
        return [
            f"{known.errors} answers were errors, and the proxies retry ({routes}). Each attempt is counted, so a "
            "version that fails seems to get more than its share."
        ]
    return []


def _fits(counts: Mapping[str, int], ready: Mapping[str, int]) -> bool:
    """Return whether the counts fit requests spread equally over the ready pods."""
    if len([one for one in ready.values() if one]) < 2 or set(counts) - set(ready):
        return False
    try:
        verdict = split.test_split(counts, ready)
    except InvalidInput:
        return False
    return verdict.verdict == "pass" and (verdict.p_value or 0.0) > PODS_FIT_P_VALUE


def _deviating_callers(shares: Mapping[str, float], known: SplitContext, alpha: float) -> list[str]:
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
