# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the controllers of its parents say of an HTTPRoute: the conditions Accepted and ResolvedRefs. Pure."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .metadata import Object

_NEEDED: t.Final = ("Accepted", "ResolvedRefs")


class Problem(t.NamedTuple):
    """A condition that is False. parent: `Kind namespace/name`. reason, message: of the controller."""

    parent: str
    condition: str
    reason: str
    message: str

    @property
    def answers_500(self) -> bool:
        """Return whether requests are answered 500: those for a backend that the controller does not resolve."""
        return self.condition == "ResolvedRefs"

    def __str__(self) -> str:
        said = f" ({self.message})" if self.message else ""
        return f"{self.parent} says {self.condition}=False {self.reason}{said}"


def problems(http_route: Object) -> list[Problem]:
    """Return the conditions that are False."""
    return [
        Problem(
            _parent_name(parent), condition["type"], str(condition.get("reason")), str(condition.get("message") or "")
        )
        for parent, condition in _conditions(http_route)
        if condition.get("status") == "False"
    ]


def is_current(http_route: Object) -> bool:
    """Return whether each parent that has said anything has said it of the present generation, and one has."""
    generation = int((http_route.get("metadata") or {}).get("generation") or 0)
    seen = [int(condition.get("observedGeneration") or 0) for _parent, condition in _conditions(http_route)]
    return bool(seen) and min(seen) >= generation


def has_status(http_route: Object) -> bool:
    """Return whether any controller has ever said something."""
    return any(True for _found in _conditions(http_route))


def _conditions(http_route: Object) -> Iterator[tuple[Object, Object]]:
    for parent in (http_route.get("status") or {}).get("parents") or ():
        for condition in parent.get("conditions") or ():
            if condition.get("type") in _NEEDED:
                yield parent, condition


def _parent_name(parent: Object) -> str:
    ref = parent.get("parentRef") or {}
    namespace = f"{ref['namespace']}/" if ref.get("namespace") else ""
    return f"{ref.get('kind') or 'Gateway'} {namespace}{ref.get('name')}"
