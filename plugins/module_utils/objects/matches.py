# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cohort's match: from the module's options to Istio's match blocks, and from these to text. Pure."""

from __future__ import annotations

import re
import typing as t

from ..errors import InvalidInput
from . import linear_regex

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Block = dict[str, t.Any]

FIELDS: t.Final = ("headers", "cookies", "path", "methods", "query", "source_labels")
_STRINGS: t.Final = ("exact", "prefix", "regex")
_NOT_HEADERS: t.Final = ("uri", "scheme", "method", "authority")
_HEADER_NAME: t.Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+|@request\.auth\.claims.+|:[a-z]+")
_COOKIE_NAME: t.Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_REGEX_LIMIT: t.Final = 1024


def to_istio_blocks(match: Mapping[str, t.Any] | Sequence[Mapping[str, t.Any]]) -> list[Block]:
    """Return Istio's `match` blocks for a cohort.

    match: one mapping (everything in it must hold) or a list of them (one must hold), with
    headers, cookies, query: name -> {exact|prefix|regex: TEXT} or {present: true} or {absent: true}, or TEXT for exact;
    path: {exact|prefix|regex: TEXT}; methods: list; source_labels: name -> value.
    Header names are put in lower case, as Istio wants them. Raises InvalidInput naming the option.
    """
    alternatives = [match] if not isinstance(match, (list, tuple)) else list(match)
    blocks: list[Block] = []
    for alternative in alternatives:
        for block in _blocks(t.cast("Mapping[str, t.Any]", alternative)):
            if block not in blocks:
                blocks.append(block)
    if not blocks or any(not block for block in blocks):
        raise InvalidInput(
            f"The cohort selects every request. Select its requests with one of {', '.join(FIELDS)}; "
            "for all requests use weights without a cohort."
        )
    return blocks


def _blocks(wanted: Mapping[str, t.Any]) -> list[Block]:
    unknown = sorted(set(wanted) - set(FIELDS))
    if unknown:
        raise InvalidInput(f"{unknown[0]} is not a condition of a cohort. Conditions are: {', '.join(FIELDS)}.")
    block: Block = {}
    for name, condition in _named(wanted, "headers").items():
        _add_header(block, name, condition)
    _add_cookies(block, _named(wanted, "cookies"))
    if wanted.get("path"):
        block["uri"] = _string(wanted["path"], "path")
    for name, condition in _named(wanted, "query").items():
        block.setdefault("queryParams", {})[name] = _query(condition, f"query.{name}")
    labels = _named(wanted, "source_labels")
    if labels:
        block["sourceLabels"] = {name: str(value) for name, value in labels.items()}
    methods = [str(method).upper() for method in wanted.get("methods") or ()]
    return [{**block, "method": {"exact": method}} for method in methods] if methods else [block]


def _named(wanted: Mapping[str, t.Any], field: str) -> dict[str, t.Any]:
    """Return name -> condition; YAML makes numbers of names such as 1."""
    found = wanted.get(field) or {}
    if not isinstance(found, dict):
        raise InvalidInput(f"{field} must be a mapping from names to conditions, not {found!r}.")
    return {str(name): condition for name, condition in found.items()}


def _add_header(block: Block, name: str, condition: t.Any) -> None:
    option = f"headers.{name}"
    lower = name if name.startswith("@") else name.lower()
    if lower in _NOT_HEADERS:
        raise InvalidInput(f"{option} is ignored by Istio. Use path for uri and methods for method.")
    if lower == "cookie":
        raise InvalidInput(
            f"{option}: name the cookie with cookies, for example {{cookies: {{canary: {{exact: always}}}}}}."
        )
    if not _HEADER_NAME.fullmatch(lower):
        raise InvalidInput(f"{option} is not a header name.")
    if lower in block.get("headers", {}) or lower in block.get("withoutHeaders", {}):
        raise InvalidInput(f"{option} is given twice; header names ignore case.")
    kind, value = parse_condition(condition, option)
    if kind == "absent":
        block.setdefault("withoutHeaders", {})[lower] = {}
    else:
        block.setdefault("headers", {})[lower] = {} if kind == "present" else {kind: value}


def _add_cookies(block: Block, cookies: Mapping[str, t.Any]) -> None:
    for field, kinds in (("headers", ("exact", "prefix", "regex", "present")), ("withoutHeaders", ("absent",))):
        wanted = [(name, *parse_condition(condition, f"cookies.{name}")) for name, condition in cookies.items()]
        wanted = [one for one in wanted if one[1] in kinds]
        if len(wanted) > 1:
            names = ", ".join(name for name, _kind, _value in wanted)
            raise InvalidInput(
                f"cookies {names}: Istio can test one cookie in a match, and one more for absence. "
                "Use one cookie for both conditions, or a list of matches if one of them is enough."
            )
        for name, kind, value in wanted:
            block.setdefault(field, {})["cookie"] = {"regex": cookie_regex(name, kind, value)}


def cookie_regex(name: str, kind: str, value: str = "") -> str:
    """Return the RE2 expression the whole `cookie` header matches if the cookie fulfills the condition."""
    if not _COOKIE_NAME.fullmatch(name):
        raise InvalidInput(f"cookies.{name} is not a cookie name.")
    body = {"exact": escape_regex(value), "prefix": escape_regex(value) + "[^;]*", "regex": f"(?:{value})"}.get(
        kind, "[^;]*"
    )
    expression = rf"^(.*?;\s*)?{escape_regex(name)}={body}(;.*)?$"
    if len(expression) > _REGEX_LIMIT:
        raise InvalidInput(f"cookies.{name}: the expression is longer than the {_REGEX_LIMIT} characters Istio allows.")
    return expression


def escape_regex(text: str) -> str:
    """Return the RE2 expression that matches exactly `text`."""
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text)


def parse_condition(condition: t.Any, option: str) -> tuple[str, str]:
    """Return (kind, text); kind is exact, prefix, regex, present or absent."""
    if isinstance(condition, bool) or condition is None:
        raise InvalidInput(f"{option} must have exact, prefix, regex, present or absent.")
    if not isinstance(condition, dict):
        return "exact", str(condition)
    given = [(kind, value) for kind, value in condition.items() if value not in (None, False)]
    if len(given) != 1 or given[0][0] not in (*_STRINGS, "present", "absent"):
        raise InvalidInput(f"{option} must have exactly one of exact, prefix, regex, present, absent.")
    kind, value = given[0]
    if kind in ("present", "absent"):
        return kind, ""
    text = str(value)
    if kind == "prefix" and not text:
        raise InvalidInput(f"{option}.prefix is empty; Istio refuses that. Use present: true.")
    if kind == "regex":
        _check_regex(text, option)
    return kind, text


def _check_regex(text: str, option: str) -> None:
    if not text or len(text) > _REGEX_LIMIT:
        raise InvalidInput(f"{option}.regex must have 1 to {_REGEX_LIMIT} characters.")
    if text == "*":
        raise InvalidInput(f"{option}.regex is *, which is not an expression. Use present: true for any value.")
    if re.search(r"\(\?(=|!|<=|<!)|\\[1-9]", text):
        raise InvalidInput(f"{option}.regex uses a look-around or a back reference; Envoy's RE2 supports neither.")
    try:
        linear_regex.compiled(text)
    except linear_regex.InvalidExpression as error:
        raise InvalidInput(f"{option}.regex is not an expression of RE2: {error}.") from None
    except linear_regex.Undecided:
        pass  # the dry run of the API server decides, and Envoy matches it


def _string(condition: t.Any, option: str) -> dict[str, str]:
    kind, value = parse_condition(condition, option)
    if kind not in _STRINGS:
        raise InvalidInput(f"{option} must have exact, prefix or regex.")
    if kind != "regex" and not value.startswith("/"):
        raise InvalidInput(f"{option}.{kind} must begin with /, but is {value!r}.")
    return {kind: value}


def _query(condition: t.Any, option: str) -> dict[str, str]:
    kind, value = parse_condition(condition, option)
    if kind == "absent":
        raise InvalidInput(f"{option}: Istio cannot test that a query parameter is absent.")
    if kind == "prefix":
        raise InvalidInput(
            f"{option}: Istio supports exact and regex for query parameters; write the prefix as a regex."
        )
    return {} if kind == "present" else {kind: value}


def match_text(blocks: Sequence[Block]) -> str:
    """Return what a route's match selects as text: `path begins with /api and header end-user is testuser`.

    Conditions are in one order, for the API server returns mappings in any.
    """
    texts = [_block_text(block or {}) for block in blocks]
    if not texts or "" in texts:
        return "every request"
    return ", or ".join(texts)


def _block_text(block: Block) -> str:
    parts = []
    for field, word in (("uri", "path"), ("method", "method"), ("scheme", "scheme"), ("authority", "authority")):
        if field in block:
            parts.append(f"{word} {_condition_text(block[field])}")
    for field, word in (("headers", "header"), ("queryParams", "query parameter")):
        parts += [f"{word} {name} {_condition_text(value)}" for name, value in sorted((block.get(field) or {}).items())]
    parts += [
        f"header {name} {_condition_text(value, negated=True)}"
        for name, value in sorted((block.get("withoutHeaders") or {}).items())
    ]
    parts += [f"caller's label {name} is {value}" for name, value in sorted((block.get("sourceLabels") or {}).items())]
    plain = (
        ("port", "port"),
        ("sourceNamespace", "caller's namespace"),
        ("sniHosts", "SNI"),
        ("destinationSubnets", "address"),
    )
    for field, word in plain:
        if block.get(field):
            value = block[field]
            parts.append(f"{word} {', '.join(map(str, value)) if isinstance(value, list) else value}")
    if block.get("gateways"):
        parts.append(f"through {' or '.join(block['gateways'])}")
    return " and ".join(parts)


def _condition_text(condition: Block | None, *, negated: bool = False) -> str:
    words = {"exact": "is", "prefix": "begins with", "regex": "matches"}
    if negated:
        words = {"exact": "is not", "prefix": "does not begin with", "regex": "does not match"}
    for kind, word in words.items():
        if kind in (condition or {}):
            return f"{word} {(condition or {})[kind]}"
    return "is absent" if negated else "is present"
