# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What preflight can find, each with a stable code. Pure; `docs/findings.md` is generated from CATALOGUE."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass


class Kind(t.NamedTuple):
    """One line of the catalogue. severity: error (writers refuse) or warning (writers go on and say it)."""

    severity: str
    title: str
    remedy: str


CATALOGUE: t.Final[dict[str, Kind]] = {
    # Raised while planning routes.
    "HOST_CLAIMED_TWICE": Kind(
        "error",
        "Two VirtualServices claim one host for the mesh",
        "A sidecar obeys only one of them. Merge them into one, or name the one you mean with virtual_services.",
    ),
    "SUBSET_UNKNOWN": Kind(
        "error",
        "A version has no subset in a DestinationRule",
        "Create the subset first (role routing), and wait until the proxies have it; requests to it would be answered 503.",
    ),
    "SUBSET_LABELS_DIFFER": Kind(
        "error",
        "A subset of that name selects other pods",
        "Relabelling a live subset loses requests. Use another version name, or change the subset by hand at weight 0.",
    ),
    "SUBSET_IN_USE": Kind(
        "error",
        "A route still names the subset",
        "Set its weight to 0 or give the route back first, wait for the proxies, then remove the subset.",
    ),
    "COHORT_MATCH_UNANSWERABLE": Kind(
        "error",
        "Cohort and route both test one thing, and no single test says both",
        "Choose another header, or exact values; or limit the cohort with routes to those it can stand before.",
    ),
    "DELEGATE_MATCH_CONFLICT": Kind(
        "error",
        "The root VirtualService would drop the cohort's route",
        "The delegate's match must fit the root's. Choose another header, or add the header to no root match.",
    ),
    "MIRROR_NOT_OURS": Kind(
        "error",
        "The route already mirrors somewhere else, in the form that allows one mirror only",
        "Rewrite the route's mirror as an entry of mirrors, which allows several, or remove it.",
    ),
    "STATE_UNREADABLE": Kind(
        "error",
        "The annotation with what to give back was changed by hand",
        "Restore the annotation from an earlier version of the object, or remove it and accept the routes as they are.",
    ),
}


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, or would be after the change.

    code: key of CATALOGUE. object: `Kind namespace/name`. reason: what was seen there, in one sentence.
    remedy: what to do; the catalogue's text unless something more exact can be said.
    """

    code: str
    object: str
    reason: str
    remedy: str = ""

    @property
    def severity(self) -> str:
        """Return error or warning."""
        return CATALOGUE[self.code].severity

    def as_dict(self) -> dict[str, str]:
        """Return the finding as tasks return it: code, severity, object, reason, remedy."""
        return {
            "code": self.code,
            "severity": self.severity,
            "object": self.object,
            "reason": self.reason,
            "remedy": self.remedy or CATALOGUE[self.code].remedy,
        }
