# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbers of one's own, one at each look: by PromQL, from an HTTP check, or handed in with the task."""

from __future__ import annotations

import re
import typing as t

from ..errors import ApiError, InvalidInput
from . import probing

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..analysis.looks import Pair
    from .observe import Source

    Asked = Mapping[str, t.Any]
    Ask: t.TypeAlias = "Callable[[float | None], Pair]"
    """Returns the canary's number and stable's at a moment (Unix time, None for now). Raises CanaryError."""

GOOD: t.Final = range(200, 400)


def check(metrics: Sequence[Asked] | None, source: str) -> None:
    """Raise InvalidInput for a metric that the source, proxies or prometheus, cannot tell."""
    for one in metrics or ():
        if one["query"] and source != "prometheus":
            raise InvalidInput(f"metrics: {one['name']} has a query, which needs prometheus_url.")


def askers(metrics: Sequence[Asked] | None, source: Source, canary: str, stable: str) -> dict[str, Ask]:
    """Return metric -> how its number is had. Raises InvalidInput where the source takes no query."""
    check(metrics, source.name)
    found: dict[str, Ask] = {}
    for one in metrics or ():
        if one["kind"] == "hanging" and not source.under_way:
            source.notes.append(
                f"{one['name']}: Prometheus knows the requests that callers gave up, but not those under way; only "
                "proxies know them, and only of the present."
            )
        if one["kind"] == "http":
            found[one["name"]] = _check(one, source.notes)
        elif one["query"]:
            found[one["name"]] = _query(one, source, canary, stable)
        elif one["kind"] == "value":
            pair = (one["value"], one["stable_value"])
            found[one["name"]] = lambda _at, pair=pair: pair  # type: ignore[misc]
    return found


def _query(one: Asked, source: Source, canary: str, stable: str) -> Ask:
    def ask(at: float | None) -> Pair:
        mine = source.ask(one["query"], canary, at)
        return mine, source.ask(one["query"], stable, at) if one["max_ratio"] is not None else None

    return ask


def _check(one: Asked, notes: list[str]) -> Ask:
    """Return a check that answers 1 if all is as it should be, else 0; nothing for the past, which cannot be asked."""
    get = probing.from_here(one)
    pattern = re.compile(one["pattern"] or "")

    def ask(at: float | None) -> Pair:
        if at is not None:
            return None, None
        try:
            answer = get()
        except ApiError as error:
            wrong = error.msg
        else:
            status = int(answer.split("\n", 1)[0])
            if status in (one["status"] or GOOD) and pattern.search(answer):
                return 1.0, None
            wrong = f"{one['url']} answered {answer[:200]!r}"
        if not any(note.startswith(f"{one['name']}: ") for note in notes):
            notes.append(f"{one['name']}: {wrong}")
        return 0.0, None

    return ask
