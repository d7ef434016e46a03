# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The data of a release, `canary_release`: parsed, bounded, and as a JSON schema for editors. Pure.

Both come from the same table, so what one refuses the other refuses; tests/unit compares
them. Only what relates two values (unique services, stable and canary differ) is beyond a schema.
"""

from __future__ import annotations

import difflib
import math
import re
import typing as t
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import InvalidInput

Options = Mapping[str, Mapping[str, t.Any]]
"""Option of a rollout -> its entry in the argument spec of canary_rollout."""

ON_FAILURE: t.Final = ("rollback_all", "rollback_wave", "stop")
NAME: t.Final = "^[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?$"
DNS_LABEL: t.Final = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
TEXT: t.Final = "^[^\\x00-\\x1f\\x7f]{1,200}$"
DURATION: t.Final = "^([0-9]{1,7}s|[0-9]{1,5}m|[0-9]{1,4}h|[0-9]{1,3}d)$"
MAX_SECONDS: t.Final = 9_999_999
MAX_SERVICES: t.Final = 100
MAX_STEPS: t.Final = 50
MAX_WAVES: t.Final = 100

_OF_RELEASE: t.Final = "the release sets it"
_ONE_STEP: t.Final = "services of a release go in step; set steps of the release"
_PODS: t.Final = "it needs route_api: replicas, which has no routes that could go back in seconds"
EXCLUDED: t.Final[dict[str, str]] = {
    **dict.fromkeys(("state", "return_at", "must_promote", "answer", "error", "record_digest", "note"), _OF_RELEASE),
    **dict.fromkeys(("holder", "record_key", "textfile"), _OF_RELEASE),
    **dict.fromkeys(("steps", "shape", "start", "by", "adapt"), _ONE_STEP),
    **dict.fromkeys(("gate", "gate_seconds", "gate_default", "approval"), "a release has its gates between waves"),
    **dict.fromkeys(("image", "container", "labels", "max_error"), _PODS),
    "supersede": "finish the other rollout, or roll it back, before the release",
    "watchdog": "the watchdog Job knows one service and could not roll the others back",
    "retire_after": "old pods keep their capacity until the release is finished; see keep_old",
    "cohorts": "it belongs to a rollback of one service; use the playbook rollback",
}
"""Options of a rollout that a service of a release has not, and why."""

_ENTRY_NAMES: t.Final = ("service", "namespace", "stable", "canary")
_KINDS: t.Final[dict[str, tuple[str, ...]]] = {
    "str": ("string", "integer"),
    "path": ("string",),
    "bool": ("boolean",),
    "float": ("number",),
    "int": ("integer",),
    "list": ("array",),
    "dict": ("object",),
    "raw": (),
}
"""Type of an option -> types of JSON."""


@dataclass(frozen=True)
class Entry:
    """One service of a release. options: those of its rollout that the data sets."""

    service: str
    namespace: str
    stable: str
    canary: str
    options: Mapping[str, t.Any]

    @property
    def key(self) -> str:
        """Return `namespace/service`, by which results and records name it."""
        return f"{self.namespace}/{self.service}"


@dataclass(frozen=True)
class Release:
    """A release as the data describes it. namespace: of its record. soak, keep_old: seconds."""

    name: str
    namespace: str
    services: tuple[Entry, ...]
    steps: tuple[t.Any, ...]
    waves: tuple[str, ...] = ()
    on_failure: str = "rollback_all"
    ticket: str = ""
    soak: float = 0.0
    keep_old: float = 0.0


DEFAULT_STEPS: t.Final = (1, 10, 25, 50, 100)


def schema(options: Options) -> dict[str, t.Any]:
    """Return the JSON schema (draft 2020-12) of `canary_release`. options: the argument spec of canary_rollout."""
    allowed = service_options(options)
    own = {name: _option_schema(options[name]) for name in allowed}
    entry = {
        "type": "object",
        "additionalProperties": False,
        "required": list(_ENTRY_NAMES),
        "properties": {
            "service": {"type": "string", "pattern": DNS_LABEL, "description": "Name of the Service."},
            "namespace": {"type": "string", "pattern": DNS_LABEL, "description": "Its namespace."},
            "stable": {"type": "string", "pattern": TEXT, "description": "The version that serves now."},
            "canary": {"type": "string", "pattern": TEXT, "description": "The new version."},
            **own,
        },
    }
    seconds = {
        "anyOf": [
            {"type": "number", "minimum": 0, "maximum": MAX_SECONDS},
            {"type": "string", "pattern": DURATION},
        ]
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "services"],
        "properties": {
            "name": {
                "type": "string",
                "pattern": NAME,
                "description": "Name of the release: lower-case letters, digits and dashes, at most 48.",
            },
            "namespace": {
                "type": "string",
                "pattern": DNS_LABEL,
                "description": "Namespace of the release's record; default is that of the first service.",
            },
            "services": {
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_SERVICES,
                "items": entry,
                "description": "Callees before callers. Each entry takes options of the module canary_rollout.",
            },
            "steps": {
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_STEPS,
                "items": {
                    "anyOf": [
                        {"type": "number", "exclusiveMinimum": 0, "maximum": 100},
                        {
                            "type": "object",
                            "required": ["weight"],
                            "additionalProperties": False,
                            "properties": {name: dict(kind) for name, kind in _STEP.items()},
                        },
                    ]
                },
                "description": "Percents of requests for the new versions, the same for all services.",
            },
            "defaults": {
                "type": "object",
                "additionalProperties": False,
                "properties": own,
                "description": "Options of every service that does not set them itself.",
            },
            "cohort": {
                "type": "object",
                "minProperties": 1,
                "description": "Requests that get the new versions of all services from the first step on.",
            },
            "waves": {
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_WAVES,
                "uniqueItems": True,
                "items": {"type": "string", "pattern": TEXT},
                "description": "Groups of the inventory, one wave after another. Default is one wave of all hosts.",
            },
            "on_failure": {"enum": list(ON_FAILURE), "description": "Which clusters go back after a failure in one."},
            "ticket": {"type": "string", "pattern": TEXT, "description": "Named in records, Events and reports."},
            "soak": {**seconds, "description": "Wait between two waves: seconds, or a text such as 30m."},
            "keep_old": {
                **seconds,
                "description": "How long the old pods keep their capacity after the last wave. Above 0 the playbook "
                "release_finish removes them, not the release itself.",
            },
        },
    }


_STEP: t.Final[dict[str, dict[str, t.Any]]] = {
    "weight": {"type": "number", "exclusiveMinimum": 0, "maximum": 100, "description": "Percent of requests."},
    "pause": {"type": "number", "minimum": 0},
    "deadline": {"type": "number", "minimum": 0},
    "replicas": {"type": "integer", "minimum": 0},
    "analysis": {"type": "boolean"},
    "cohort": {"type": "object"},
}
"""Fields of a step that is a mapping. Gates are between waves."""


def service_options(options: Options) -> list[str]:
    """Return the names of the options that a service of a release takes, beside its four names."""
    connection = {"kubeconfig", "context", "host", "api_key", "username", "password", "client_cert", "client_key"}
    connection |= {"ca_cert", "validate_certs", "proxy", "no_proxy", "proxy_headers", "persist_config"}
    connection |= {"impersonate_user", "impersonate_groups"}
    return [name for name in options if name not in {*EXCLUDED, *connection, *_ENTRY_NAMES}]


def _option_schema(option: Mapping[str, t.Any]) -> dict[str, t.Any]:
    if option.get("choices"):
        return {"enum": [one for one in option["choices"] if one != "replicas"]}
    types = _KINDS[option.get("type", "str")]
    return {"type": list(types) if len(types) > 1 else types[0]} if types else {}


def parse(data: t.Any, options: Options) -> Release:
    """Return the release that `canary_release` describes. options: the argument spec of canary_rollout.

    Raises InvalidInput, which names the key, its value and the way out.
    """
    described = schema(options)
    _validate(data, described, "canary_release", options)
    entries = []
    defaults = dict(data.get("defaults") or {})
    shared = {"cohort": data["cohort"]} if data.get("cohort") else {}
    for one in data["services"]:
        own = {name: value for name, value in one.items() if name not in _ENTRY_NAMES}
        names = {name: one[name] for name in _ENTRY_NAMES}
        entries.append(Entry(**names, options={**shared, **defaults, **own}))
    _check_relations(entries)
    _check_steps(data.get("steps") or ())
    return Release(
        name=data["name"],
        namespace=data.get("namespace") or entries[0].namespace,
        services=tuple(entries),
        steps=tuple(data.get("steps") or DEFAULT_STEPS),
        waves=tuple(data.get("waves") or ()),
        on_failure=data.get("on_failure", "rollback_all"),
        ticket=data.get("ticket", ""),
        soak=seconds_of(data.get("soak", 0)),
        keep_old=seconds_of(data.get("keep_old", 0)),
    )


def seconds_of(value: t.Any) -> float:
    """Return a duration in seconds. value: a number, or a text such as 90s, 30m, 24h or 2d that the schema accepts."""
    if isinstance(value, str):
        return float(value[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[value[-1]]
    return float(value)


def _check_relations(entries: list[Entry]) -> None:
    seen: dict[str, int] = {}
    for number, one in enumerate(entries):
        where = f"canary_release.services[{number}]"
        if one.stable == one.canary:
            raise InvalidInput(f"{where}: stable and canary of {one.key} are both {one.canary}, but must differ.")
        if one.key in seen:
            raise InvalidInput(
                f"{where}: {one.key} is listed twice, also as services[{seen[one.key]}]. Remove one of the entries."
            )
        seen[one.key] = number


def _check_steps(steps: t.Sequence[t.Any]) -> None:
    """Raise InvalidInput unless the steps rise; only one with a cohort of its own can repeat a weight."""
    before = 0.0
    for number, one in enumerate(steps):
        weight, cohort = (one["weight"], "cohort" in one) if isinstance(one, dict) else (one, False)
        if weight < before or (weight == before and not cohort):
            raise InvalidInput(
                f"canary_release.steps[{number}]: {weight:g} is not above {before:g}, the step before. Steps only "
                "rise; the playbook release_rollback goes back."
            )
        before = weight


def _validate(value: t.Any, described: Mapping[str, t.Any], where: str, options: Options) -> None:
    """Raise InvalidInput unless the value is as its schema says."""
    if "anyOf" in described:
        _validate_any(value, described["anyOf"], where, options)
        return
    if "enum" in described:
        if value not in described["enum"] or isinstance(value, bool):
            choices = ", ".join(str(one) for one in described["enum"])
            raise InvalidInput(f"{where}: {_shown(value)} is not possible. Use one of {choices}.")
        return
    types = described.get("type")
    if types is None:
        return
    types = [types] if isinstance(types, str) else types
    if not any(_is(value, one) for one in types):
        raise InvalidInput(f"{where}: {_shown(value)} is not {' or '.join(_ARTICLES[one] for one in types)}.")
    if isinstance(value, str):
        _validate_text(value, described, where)
    elif isinstance(value, Mapping):
        _validate_object(value, described, where, options)
    elif isinstance(value, list):
        _validate_list(value, described, where, options)
    elif not isinstance(value, bool):
        _validate_number(value, described, where)


def _validate_any(value: t.Any, variants: list[dict[str, t.Any]], where: str, options: Options) -> None:
    for one in variants:
        if _is(value, one["type"]):
            _validate(value, one, where, options)
            return
    kinds = " or ".join(_ARTICLES[one["type"]] for one in variants)
    raise InvalidInput(f"{where}: {_shown(value)} is not {kinds}.")


def _validate_text(value: str, described: Mapping[str, t.Any], where: str) -> None:
    pattern = described.get("pattern")
    if pattern and not re.search(pattern.replace("$", "\\Z"), value):
        raise InvalidInput(f"{where}: {_shown(value)} is not possible. Use {_PATTERNS[pattern]}.")


def _validate_number(value: float, described: Mapping[str, t.Any], where: str) -> None:
    low, above = described.get("minimum"), described.get("exclusiveMinimum")
    high = described.get("maximum")
    if (low is not None and value < low) or (above is not None and value <= above):
        bound = f"at least {low}" if low is not None else f"above {above}"
        raise InvalidInput(f"{where}: {value:g} is too small. Use a number that is {bound}.")
    if high is not None and value > high:
        raise InvalidInput(f"{where}: {value:g} is too large. Use a number that is at most {high}.")


def _validate_list(value: list[t.Any], described: Mapping[str, t.Any], where: str, options: Options) -> None:
    least, most = described.get("minItems", 0), described.get("maxItems", math.inf)
    if len(value) < least:
        way_out = "List" if where == "canary_release.services" else "Leave the key out, or list"
        raise InvalidInput(f"{where}: the list is empty. {way_out} at least one entry.")
    if len(value) > most:
        raise InvalidInput(f"{where}: the list has {len(value)} entries, but at most {most} are possible.")
    for number, one in enumerate(value):
        if "items" in described:
            _validate(one, described["items"], f"{where}[{number}]", options)
    if described.get("uniqueItems") and (twice := [one for one in value if value.count(one) > 1]):
        raise InvalidInput(f"{where}: {_shown(twice[0])} is listed twice. Remove one of the entries.")


def _validate_object(value: Mapping[str, t.Any], described: Mapping[str, t.Any], where: str, options: Options) -> None:
    for name in described.get("required", ()):
        if name not in value:
            raise InvalidInput(f"{where}: the key {name} is missing. {described['properties'][name]['description']}")
    if len(value) < described.get("minProperties", 0):
        raise InvalidInput(f"{where}: the mapping is empty. Leave the key out, or fill it.")
    known = described.get("properties", {})
    for name, one in value.items():
        if name not in known and described.get("additionalProperties") is False:
            raise InvalidInput(f"{where}: {_unknown(str(name), list(known), options)}")
        if name in known:
            _validate(one, known[name], f"{where}.{name}", options)


def _unknown(name: str, known: list[str], options: Options) -> str:
    short = name.removeprefix("rollout_")
    if short != name and short in known:
        return f"there is no key {name}; options of a rollout stand here without the prefix: {short}."
    if name in EXCLUDED:
        return f"the key {name} is not possible in a release: {EXCLUDED[name]}."
    if name in options:
        return f"the key {name} does not belong here."
    near = difflib.get_close_matches(name.lower().replace("-", "_"), known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else f"possible are {', '.join(known)}."
    return f"there is no key {name}; {hint}"


def _is(value: t.Any, kind: str) -> bool:
    if kind == "boolean":
        return isinstance(value, bool)
    if kind in ("number", "integer"):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            return False
        return kind == "number" or float(value).is_integer()
    return isinstance(value, {"string": str, "array": list, "object": Mapping}[kind])


def _shown(value: t.Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


_ARTICLES: t.Final = {
    "string": "a text (write it in quotes)",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
}
_PATTERNS: t.Final = {
    NAME: "lower-case letters, digits and dashes, at most 48 and no dash at either end",
    DNS_LABEL: "a name of Kubernetes: lower-case letters, digits and dashes, at most 63 and no dash at either end",
    TEXT: "1 to 200 characters in one line",
    DURATION: "a number of seconds, or a text such as 90s, 30m, 24h or 2d",
}
