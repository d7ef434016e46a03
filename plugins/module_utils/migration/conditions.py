# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Conditions and queries of other tools as bounds and kinds of metrics. Pure."""

from __future__ import annotations

import re
import string
import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_NUMBER: t.Final = r"(-?\d{1,15}(?:\.\d{0,15})?(?:[eE][+-]?\d{1,2})?)"
_RESULT: t.Final = r"(?:float\(|asFloat\()?result(?:\[0\])?\)?"
_COMPARISON: t.Final = re.compile(rf"{_RESULT}(<=|>=|<|>){_NUMBER}")
_REVERSED: t.Final = re.compile(rf"{_NUMBER}(<=|>=|<|>){_RESULT}")
_NO_NUMBER: t.Final = re.compile(r"len\(result\)(==0|<1)|isNaN\(result(\[0\])?\)|result==nil")
_A_NUMBER: t.Final = re.compile(r"len\(result\)(>0|>=1|!=0|==1)|!isNaN\(result(\[0\])?\)|result!=nil")
_MIRRORED: t.Final = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_OPPOSITE: t.Final = {"<": ">=", ">": "<=", "<=": ">", ">=": "<"}
_LABELS: t.Final = re.compile(r"\{[^{}]*\}")
_NOT_5XX: t.Final = re.compile(r'response_code!~"(5\.[*+]|5\.\.|\^5\.[*+]|5xx|\[5\]\.[*+])"')
_IS_5XX: t.Final = re.compile(r'response_code=~"(5\.[*+]|5\.\.|\^5\.[*+]|5xx|\[5\]\.[*+])"')
_QUANTILE: t.Final = re.compile(r"histogram_quantile\((0?\.\d{1,6}),")
_DESTINATION: t.Final = re.compile(
    r'destination_(?:service|service_name|workload|app|canonical_service)=(~?)"([^"]*)"',
)
_PERCENT: t.Final = re.compile(r"^(.*)\*100(?:\.0*)?$|^100(?:\.0*)?\*(.*)$")
LONGEST: t.Final = 500


@dataclass(frozen=True)
class Bounds:
    """The numbers that pass: from floor to limit, None for no bound.

    strict: the bound itself fails in the original, and passes here. missing_passes: so does a query without a number.
    """

    floor: float | None = None
    limit: float | None = None
    strict: bool = False
    missing_passes: bool = False

    def options(self) -> dict[str, float]:
        """Return the options of a metric of kind value."""
        found = {"floor": self.floor, "limit": self.limit}
        return {name: value for name, value in found.items() if value is not None}


def passing(condition: str) -> Bounds | None:
    """Return the bounds of a successCondition; None if it says something else than bounds of one number."""
    return _bounds(condition, "||", "&&", _NO_NUMBER, _A_NUMBER, opposite=False)


def failing(condition: str) -> Bounds | None:
    """Return the bounds that a failureCondition leaves; None if it says something else."""
    return _bounds(condition, "&&", "||", _A_NUMBER, _NO_NUMBER, opposite=True)


def _bounds(
    condition: str, outer: str, inner: str, outside: re.Pattern[str], implied: re.Pattern[str], *, opposite: bool
) -> Bounds | None:
    """Return the bounds of terms joined by `inner`; `outer` joins them with terms about the existence of a number."""
    text = re.sub(r"\s+", "", condition)
    if not text or len(text) > LONGEST:
        return None
    parts = [_stripped(part) for part in text.split(outer)]
    rest = [part for part in parts if not outside.fullmatch(part)]
    if len(rest) != 1:
        return None
    floor: float | None = None
    limit: float | None = None
    strict = False
    for term in map(_stripped, rest[0].split(inner)):
        if implied.fullmatch(term):
            continue
        found = _comparison(term)
        if found is None:
            return None
        sign, number = found
        sign = _OPPOSITE[sign] if opposite else sign
        if sign[0] == "<":
            limit = number if limit is None else min(limit, number)
        else:
            floor = number if floor is None else max(floor, number)
        strict = strict or len(sign) == 1
    if floor is None and limit is None:
        return None
    return Bounds(floor, limit, strict, missing_passes=not opposite and len(parts) > 1)


def _stripped(text: str) -> str:
    """Return a term without parentheses around all of it."""
    while text.startswith("(") and text.endswith(")") and _balanced(text[1:-1]):
        text = text[1:-1]
    return text


def _balanced(text: str) -> bool:
    depth = 0
    for sign in text:
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if depth < 0:
            return False
    return depth == 0


def _comparison(term: str) -> tuple[str, float] | None:
    if found := _COMPARISON.fullmatch(term):
        return found[1], float(found[2])
    if found := _REVERSED.fullmatch(term):
        return _MIRRORED[found[2]], float(found[1])
    return None


def metric_of(name: str, query: str, bounds: Bounds, own: Collection[str] = ()) -> dict[str, t.Any]:
    """Return the metric that judges what the query does: one of Istio's numbers if it is known, else kind value.

    A known number is counted by the collection itself, for each version; every other query is run as it is, and so is
    one of other services. own: the names of the service and of its workload; empty if they are not known.
    """
    bare = re.sub(r"\s+", "", query)
    metric: dict[str, t.Any] = {"name": name, "critical": True}
    if own and _selects_others(query, own):
        return {**metric, "kind": "value", "query": query, **bounds.options()}
    if (limit := _error_limit(bare, bounds)) is not None:
        return {**metric, "kind": "errors", "compare": False, "limit": limit}
    if (quantile := _latency_quantile(bare)) is not None and bounds.limit is not None and not bounds.floor:
        return {**metric, "kind": "latency", "compare": False, "quantile": quantile, "limit": bounds.limit}
    return {**metric, "kind": "value", "query": query, **bounds.options()}


def escaped(query: str) -> str:
    """Return a foreign query in which no $ begins a placeholder."""
    return query.replace("$", "$$")


def _selects_others(query: str, own: Collection[str]) -> bool:
    """Return whether a label of the destination names none of the own names."""
    return any(not _names(bool(found[1]), found[2], own) for found in _DESTINATION.finditer(query))


def _names(pattern: bool, value: str, own: Collection[str]) -> bool:
    """Return whether the value of a label is one of the names, or the host of one; a pattern can also be open."""
    if pattern and value.lstrip("^(")[:1] in ("", ".", "["):
        return True
    end = r"(?:$|[.\\$)|])" if pattern else r"(?:$|[.])"
    return any(re.match(rf"{re.escape(name)}{end}", value.lstrip("^(") if pattern else value) for name in own)


def _error_limit(bare: str, bounds: Bounds) -> float | None:
    """Return the percent of requests that may fail, if the query is the share of 5xx answers or of all others."""
    percent = _PERCENT.match(bare)
    ratio = (percent[1] or percent[2] or "") if percent else bare
    if _LABELS.sub("", ratio).count("/") != 1 or ratio.count("istio_requests_total") != 2:
        return None
    scale = 1.0 if percent else 100.0
    floor, limit = shares(bounds, 100.0 / scale)
    good, bad = len(_NOT_5XX.findall(ratio)), len(_IS_5XX.findall(ratio))
    numerator = ratio[: _division(ratio)]
    if good == 1 and not bad and _NOT_5XX.search(numerator) and limit is None and floor is not None:
        return _in_percent(100.0 - floor * scale)
    if bad == 1 and not good and _IS_5XX.search(numerator) and floor is None and limit is not None:
        return _in_percent(limit * scale)
    return None


def shares(bounds: Bounds, whole: float) -> tuple[float | None, float | None]:
    """Return floor and limit of a number from 0 to `whole`, without a bound that every such number is within."""
    floor, limit = bounds.floor, bounds.limit
    if floor is not None and limit is not None:
        floor, limit = (None if floor <= 0.0 else floor), (None if limit >= whole else limit)
    return floor, limit


def _division(ratio: str) -> int:
    """Return where the division is, outside of label selectors."""
    inside = False
    for index, sign in enumerate(ratio):
        inside = (inside or sign == "{") and sign != "}"
        if sign == "/" and not inside:
            return index
    return len(ratio)


def _in_percent(number: float) -> float | None:
    return round(number, 6) if 0.0 <= number <= 100.0 else None


def _latency_quantile(bare: str) -> float | None:
    """Return the quantile if the query is one of Istio's request durations, in milliseconds."""
    found = _QUANTILE.match(bare)
    without = _LABELS.sub("", bare)
    whole = bare.endswith(")") and without.count("istio_request_duration_milliseconds_bucket") == 1
    if found is None or not whole or any(sign in without for sign in "*/+-"):
        return None
    return float(found[1])


def substituted(text: str, values: Mapping[str, str], pattern: re.Pattern[str]) -> tuple[str, set[str]]:
    """Return the text with its placeholders replaced, and the names that have no value. Group 1 has the name."""
    unknown: set[str] = set()

    def replace(found: re.Match[str]) -> str:
        if found[1] in values:
            return values[found[1]]
        unknown.add(found[1])
        return found[0]

    return pattern.sub(replace, text), unknown


def is_plain_url(text: str) -> bool:
    """Return whether the text is an http or https URL without spaces and templates."""
    allowed = set(string.ascii_letters + string.digits + "-._~:/?#[]@!$&'()*+,;=%")
    return bool(re.match(r"https?://[^/]", text)) and len(text) <= 2000 and set(text) <= allowed
