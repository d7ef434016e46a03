# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter unknown_variables: variables of a role's prefix that the role does not have."""

from __future__ import annotations

import difflib
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable

NEAR: t.Final = 0.78
"""How similar two names without their prefix are, by difflib: `puase` is near `pause`, `image_tag` not `image`."""


def unknown_variables(names: Iterable[str], known: Iterable[str], prefix: str) -> list[dict[str, str]]:
    """Return `{name, nearest, sentence}` of each name that is not known. nearest: empty if no known one is similar."""
    rest = {name.removeprefix(prefix): name for name in known}
    unknown = sorted(name for name in set(names) if name.removeprefix(prefix) not in rest)
    return [_described(name, rest, prefix) for name in unknown]


def _described(name: str, rest: dict[str, str], prefix: str) -> dict[str, str]:
    short = name.removeprefix(prefix).lower().replace("-", "_")
    similar = difflib.get_close_matches(short, rest, n=1, cutoff=NEAR)
    nearest = rest[similar[0]] if similar else ""
    question = f"did you mean {nearest}?" if nearest else "it has no effect."
    return {"name": name, "nearest": nearest, "sentence": f"There is no variable {name}; {question}"}


class FilterModule:
    """Filters of the roles' variables."""

    def filters(self) -> dict[str, Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"unknown_variables": unknown_variables}
