# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a routing API must be able to plan; the modules `istio` and its siblings are of this shape. Pure."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .change import Plan
    from .find import Scope
    from .hosts import ServiceRef
    from .snapshot import Snapshot


class Planner(t.Protocol):
    """The functions behind `plan`, which says what each means."""

    def plan_weights(
        self,
        snapshot: Snapshot,
        service: ServiceRef,
        weights: Mapping[str, t.Any],
        scope: Scope,
        *,
        settle: bool = False,
        end_cohorts: Sequence[str] = (),
    ) -> Plan:
        """Set the weights."""

    def plan_weights_absent(self, snapshot: Snapshot, service: ServiceRef, scope: Scope) -> Plan:
        """Give them back."""

    def plan_cohort(
        self,
        snapshot: Snapshot,
        service: ServiceRef,
        name: str,
        match: Mapping[str, t.Any] | Sequence[Mapping[str, t.Any]],
        weights: Mapping[str, t.Any],
        scope: Scope,
        *,
        order: int = 100,
    ) -> Plan:
        """Set a cohort."""

    def plan_cohort_absent(self, snapshot: Snapshot, service: ServiceRef, name: str, scope: Scope) -> Plan:
        """Take it away."""

    def plan_mirror(self, snapshot: Snapshot, service: ServiceRef, version: str, percent: t.Any, scope: Scope) -> Plan:
        """Set a mirror."""

    def plan_mirror_absent(self, snapshot: Snapshot, service: ServiceRef, scope: Scope) -> Plan:
        """Take it away."""

    def plan_sticky(
        self, snapshot: Snapshot, service: ServiceRef, scope: Scope, *, cookie: str, max_age: int, path: str
    ) -> Plan:
        """Let users keep their version."""

    def plan_sticky_absent(self, snapshot: Snapshot, service: ServiceRef, scope: Scope) -> Plan:
        """Deal them anew."""

    def describe(self, snapshot: Snapshot, service: ServiceRef, scope: Scope | None = None) -> dict[str, t.Any]:
        """Say who gets which share."""
