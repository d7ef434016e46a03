# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Converts RequestMirror filters of an HTTPRoute's rule to Istio's mirrors, and back. Pure."""

from __future__ import annotations

import copy
import typing as t
from fractions import Fraction

from ..objects.weights import rounded_percent

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    ToDestination = Callable[[dict[str, t.Any]], dict[str, t.Any]]
    """Converts a backendRef to a destination: see `http_route_adapter`."""

Filter = dict[str, t.Any]
Mirror = dict[str, t.Any]

TYPE: t.Final = "RequestMirror"


def mirrors_in(rule: dict[str, t.Any], to_destination: ToDestination) -> list[Mirror]:
    """Return the rule's mirrors."""
    return [to_mirror(one, to_destination) for one in rule.get("filters") or () if one.get("type") == TYPE]


def to_mirror(one: Filter, to_destination: ToDestination) -> Mirror:
    """Return the filter as a mirror. Without percent or fraction every request is copied."""
    options = one.get("requestMirror") or {}
    mirror: Mirror = {"destination": copy.deepcopy(to_destination(options.get("backendRef") or {}))}
    mirror["destination"]["ref"].pop("filters", None)
    percent: t.Any = options.get("percent")
    if options.get("fraction"):
        share = Fraction(int(options["fraction"].get("numerator", 0)), int(options["fraction"].get("denominator", 100)))
        percent = rounded_percent(share * 100)
    mirror["percentage"] = {"value": 100 if percent is None else percent}
    return mirror


def to_filter(mirror: Mirror) -> Filter:
    """Return the mirror as a filter: no share for all requests (every release knows that), else percent or fraction."""
    destination = mirror["destination"]
    ref = {key: copy.deepcopy(value) for key, value in destination["ref"].items() if key != "filters"}
    if "subset" in destination:
        ref["name"] = destination["subset"]
    options: dict[str, t.Any] = {"backendRef": ref}
    percent = Fraction(str(mirror["percentage"]["value"]))
    if percent != 100 and percent.denominator == 1:
        options["percent"] = int(percent)
    elif percent != 100:
        options["fraction"] = {"numerator": int(percent * 1000), "denominator": 100_000}
    return {"type": TYPE, "requestMirror": options}


def filters_with(filters: Sequence[Filter], mirrors: Sequence[Mirror]) -> list[Filter]:
    """Return the filters with exactly these mirrors: unchanged ones as they are, new ones at the end."""
    wanted = [to_filter(mirror) for mirror in mirrors]
    kept = []
    for one in filters:
        if one.get("type") == TYPE:
            same = next((new for new in wanted if _key(new) == _key(one)), None)
            if same is None:
                continue
            wanted.remove(same)
        kept.append(copy.deepcopy(one))
    return kept + wanted


def _key(one: Filter) -> tuple[t.Any, ...]:
    options = one.get("requestMirror") or {}
    ref = options.get("backendRef") or {}
    share = Fraction(str(options.get("percent", 100)))
    if options.get("fraction"):
        share = Fraction(
            int(options["fraction"].get("numerator", 0)) * 100, int(options["fraction"].get("denominator", 100))
        )
    backend = tuple(ref.get(key) for key in ("group", "kind", "namespace", "name", "port"))
    return (*backend, rounded_percent(share))
