# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""RequestMirror filters of an HTTPRoute's rule as Istio's mirrors, and back. Pure."""

from __future__ import annotations

import copy
import typing as t
from fractions import Fraction

from .weights import number

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .gateway_lens import Lens

Filter = dict[str, t.Any]
Mirror = dict[str, t.Any]

TYPE: t.Final = "RequestMirror"


def mirrors_in(rule: dict[str, t.Any], lens: Lens) -> list[Mirror]:
    """Return the rule's mirrors; an empty list is a rule without."""
    return [to_mirror(one, lens) for one in rule.get("filters") or () if one.get("type") == TYPE]


def to_mirror(one: Filter, lens: Lens) -> Mirror:
    """Return the filter as a mirror. Without percent or fraction every request is copied."""
    said = one.get("requestMirror") or {}
    mirror: Mirror = {"destination": copy.deepcopy(lens.destination(said.get("backendRef") or {}))}
    mirror["destination"]["ref"].pop("filters", None)
    percent: t.Any = said.get("percent")
    if said.get("fraction"):
        share = Fraction(int(said["fraction"].get("numerator", 0)), int(said["fraction"].get("denominator", 100)))
        percent = number(share * 100)
    mirror["percentage"] = {"value": 100 if percent is None else percent}
    return mirror


def to_filter(mirror: Mirror) -> Filter:
    """Return the mirror as a filter: no share for all requests (every release knows that), else percent or fraction."""
    destination = mirror["destination"]
    ref = {key: copy.deepcopy(value) for key, value in destination["ref"].items() if key != "filters"}
    if "subset" in destination:
        ref["name"] = destination["subset"]
    said: dict[str, t.Any] = {"backendRef": ref}
    percent = Fraction(str(mirror["percentage"]["value"]))
    if percent != 100 and percent.denominator == 1:
        said["percent"] = int(percent)
    elif percent != 100:
        said["fraction"] = {"numerator": int(percent * 1000), "denominator": 100_000}
    return {"type": TYPE, "requestMirror": said}


def filters_with(filters: Sequence[Filter], mirrors: Sequence[Mirror]) -> list[Filter]:
    """Return the filters with exactly these mirrors: those that stay as they are written, new ones at the end."""
    wanted = [to_filter(mirror) for mirror in mirrors]
    kept = []
    for one in filters:
        if one.get("type") == TYPE:
            same = next((new for new in wanted if _meaning(new) == _meaning(one)), None)
            if same is None:
                continue
            wanted.remove(same)
        kept.append(copy.deepcopy(one))
    return kept + wanted


def _meaning(one: Filter) -> tuple[t.Any, ...]:
    said = one.get("requestMirror") or {}
    ref = said.get("backendRef") or {}
    share = Fraction(str(said.get("percent", 100)))
    if said.get("fraction"):
        share = Fraction(int(said["fraction"].get("numerator", 0)) * 100, int(said["fraction"].get("denominator", 100)))
    where = tuple(ref.get(key) for key in ("group", "kind", "namespace", "name", "port"))
    return (*where, number(share))
