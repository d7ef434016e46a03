# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A manifest of another tool, read with types and bounds. Every field that is read, listed or left out is recorded.

What no code has looked at is found at the end, so no field can be lost in silence. Pure.
"""

from __future__ import annotations

import datetime
import re
import typing as t
from collections.abc import Mapping, Sequence

from ..errors import InvalidInput
from ..objects.plain_text import plain_text

Path: t.TypeAlias = "tuple[str | int, ...]"

MAX_DEPTH: t.Final = 40
MAX_VALUES: t.Final = 50_000
MAX_TEXT: t.Final = 100_000
_DURATION: t.Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_SECONDS: t.Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_TEMPLATE: t.Final = re.compile(r"\{\{|\{%|\{#")


class Manifest:
    """One object, and what the translation did with each of its fields.

    given: the object as YAML has it. kind: what it has to be. Raises InvalidInput if it is no such object, is too large
    or too deep, or has values that no manifest has.
    """

    def __init__(self, given: t.Any, *kinds: str) -> None:
        self.kind = kinds[0]
        self.name = ""
        self.read: set[Path] = {("kind",)}
        self.left_out: set[Path] = set()
        self.listed: dict[Path, dict[str, t.Any]] = {}
        if not isinstance(given, Mapping):
            raise InvalidInput(f"{kinds[0]}: a mapping is needed, not {_shown(given)}.")
        self._count = 0
        self.value = t.cast("dict[str, t.Any]", self._copied(given, ()))
        kind = self.value.get("kind")
        if kind not in kinds:
            raise InvalidInput(f"kind: {_shown(kind)} is not {' or '.join(kinds)}.")
        self.kind = str(kind)
        self.root = Node(self, (), self.value)
        metadata = self.root.mapping("metadata")
        self.name = metadata.text("name") if metadata else ""
        self.namespace = metadata.text("namespace") if metadata else ""
        if not self.name:
            raise InvalidInput(f"{self.kind}: metadata.name is missing.")

    @property
    def title(self) -> str:
        """Return what messages call the object: `Rollout checkout`."""
        return f"{self.kind} {self.name}".strip()

    def field(self, path: Path) -> str:
        """Return the field as messages name it: `spec.steps[2].setWeight`."""
        return plain_text(
            "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
        )

    def error(self, path: Path, text: str) -> InvalidInput:
        """Return the error that names the object and the field."""
        return InvalidInput(f"{self.title}: {self.field(path) or 'the object'} {text}")

    def leaves(self) -> list[Path]:
        """Return the path of every value that is no mapping or list with something in it."""
        return list(_leaves(self.value, ()))

    def untouched(self) -> list[Path]:
        """Return the leaves that were not read, listed or left out."""
        known = self.read | self.left_out | set(self.listed)
        return [path for path in self.leaves() if not any(path[:end] in known for end in range(len(path) + 1))]

    def _copied(self, value: t.Any, path: Path) -> t.Any:
        self._count += 1
        if self._count > MAX_VALUES:
            raise self.error(path[:2], f"is too large: the object has more than {MAX_VALUES} values.")
        if len(path) > MAX_DEPTH:
            raise self.error(path[:6], f"is nested more than {MAX_DEPTH} levels deep, or contains itself.")
        if isinstance(value, Mapping):
            return {self._key(key, path): self._copied(item, (*path, str(key))) for key, item in value.items()}
        if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
            return [self._copied(item, (*path, index)) for index, item in enumerate(value)]
        return self._scalar(value, path)

    def _key(self, key: t.Any, path: Path) -> str:
        if not isinstance(key, str):
            raise self.error(path, f"has the key {_shown(key)}, which is no text. Put it in quotes.")
        return str(key)

    def _scalar(self, value: t.Any, path: Path) -> t.Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, (int, float)):
            if not abs(value) <= 1e15:  # NaN is not
                raise self.error(path, f"is {_shown(value)}, which is no number that a manifest has.")
            return int(value) if isinstance(value, int) else float(value)
        if isinstance(value, str):
            if len(value) > MAX_TEXT:
                raise self.error(path, f"has more than {MAX_TEXT} characters.")
            return str(value)
        if isinstance(value, (datetime.date, datetime.datetime)):  # YAML reads 2026-01-01 as a date
            return value.isoformat()
        raise self.error(path, f"is of the type {type(value).__name__}, which no manifest has.")


class Node:
    """One mapping of a manifest, and how to read its fields."""

    def __init__(self, manifest: Manifest, path: Path, value: Mapping[str, t.Any]) -> None:
        self.manifest, self.path, self.value = manifest, path, value

    def has(self, name: str) -> bool:
        """Return whether the field is there and not null."""
        return self.value.get(name) is not None

    def field(self, name: str = "") -> str:
        """Return the object and the field as results name them."""
        return f"{self.manifest.title}: {self.manifest.field((*self.path, name) if name else self.path)}"

    def error(self, name: str, text: str) -> InvalidInput:
        """Return the error about one field."""
        return self.manifest.error((*self.path, name), text)

    def mapping(self, name: str) -> Node | None:
        """Return a field that is a mapping; None if it is not there. An empty one counts as read."""
        found = self._typed(name, Mapping, "a mapping")
        if found is None:
            return None
        if not found:
            self.note(name)
        return Node(self.manifest, (*self.path, name), found)

    def needed(self, name: str) -> Node:
        """Return a field that is a mapping and must be there. Raises InvalidInput."""
        found = self.mapping(name)
        if found is None:
            raise self.error(name, "is missing.")
        return found

    def items(self, name: str) -> list[Node]:
        """Return the mappings of a list; empty if it is not there."""
        found = self.values(name)
        for index, one in enumerate(found):
            if not isinstance(one, Mapping):
                raise self.manifest.error((*self.path, name, index), f"must be a mapping, not {_shown(one)}.")
        return [Node(self.manifest, (*self.path, name, index), one) for index, one in enumerate(found)]

    def values(self, name: str) -> list[t.Any]:
        """Return a list as it is, without recording its items as read."""
        found = self._typed(name, list, "a list")
        if found is not None and not found:
            self.note(name)
        return list(found or ())

    def text(self, name: str, default: str = "") -> str:
        """Return a text. A number or true in its place is what YAML made of it, and an error."""
        found = self._typed(name, str, "text; put it in quotes")
        if found is None:
            return default
        self.note(name)
        return str(found)

    def flag(self, name: str, default: bool = False) -> bool:
        """Return true or false."""
        found = self._typed(name, bool, "true or false")
        if found is None:
            return default
        self.note(name)
        return bool(found)

    def number(self, name: str, least: float, most: float) -> float | None:
        """Return a number within bounds, None if it is not there. Text that is a number counts, as in Kubernetes."""
        if not self.has(name):
            return None
        found = self.value[name]
        try:
            number = float("x" if isinstance(found, bool) else found)
        except (TypeError, ValueError):
            raise self.error(name, f"must be a number, not {_shown(found)}.") from None
        if not least <= number <= most:
            raise self.error(name, f"must be between {least:g} and {most:g}, not {number:g}.")
        self.note(name)
        return number

    def whole(self, name: str, least: int, most: int) -> int | None:
        """Return a whole number within bounds; None if it is not there."""
        number = self.number(name, least, most)
        if number is not None and number != int(number):
            raise self.error(name, f"must be a whole number, not {number:g}.")
        return None if number is None else int(number)

    def seconds(self, name: str) -> float | None:
        """Return a duration in seconds: a number of seconds, or a duration of Go such as `1m30s`."""
        if not self.has(name):
            return None
        found = self.value[name]
        seconds = duration(found)
        if seconds is None:
            raise self.error(name, f"must be a duration such as 30, 30s, 5m or 1h30m, not {_shown(found)}.")
        self.note(name)
        return seconds

    def literal(self, name: str) -> str | None:
        """Return a text for a variable; None, and nothing recorded, if Ansible would read it as a template."""
        found = self._typed(name, str, "text; put it in quotes")
        if found is None or is_template(found):
            return None
        self.note(name)
        return str(found)

    def note(self, name: str = "") -> None:
        """Record a field, with all that is in it, as read."""
        self.manifest.read.add((*self.path, name) if name else self.path)

    def leave_out(self, *names: str) -> None:
        """Record fields that have no effect on a rollout (see the page on migration)."""
        self.manifest.left_out |= {(*self.path, name) for name in names if name in self.value}

    def list_missing(self, name: str, reason: str, instead: str, *, blocking: bool = False) -> None:
        """List a field as one without a counterpart, if it is there. name: empty for the node itself."""
        if name and not self.has(name):
            return
        path = (*self.path, name) if name else self.path
        entry = {"field": self.field(name), "reason": reason, "instead": instead, "blocking": blocking}
        self.manifest.listed.setdefault(path, entry)

    def _typed(self, name: str, kind: type, wanted: str) -> t.Any:
        found = self.value.get(name)
        if found is None:
            return None
        if not isinstance(found, kind):
            raise self.error(name, f"must be {wanted}, not {_shown(found)}.")
        return found


def duration(value: t.Any) -> float | None:
    """Return the seconds of a number or of a duration of Go; None for anything else, also below 0."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return float(value) if value >= 0 else None
    if not isinstance(value, str):
        return None
    text = value.strip()
    if text and len(text) <= 15 and text.isascii() and text.isdigit():
        return float(text)
    parts = _DURATION.findall(text) if len(text) <= 50 else []
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return round(sum(float(number) * _SECONDS[unit] for number, unit in parts), 3)


def is_template(text: str) -> bool:
    """Return whether Ansible would read the text as a template."""
    return bool(_TEMPLATE.search(text))


def _shown(value: t.Any) -> str:
    """Return the beginning of a value for a message."""
    text = f"a {'mapping' if isinstance(value, Mapping) else 'list'}" if isinstance(value, (Mapping, list)) else ""
    return text or plain_text(repr(value))[:80]


def _leaves(value: t.Any, path: Path) -> t.Iterator[Path]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    empty = True
    for key, item in inside:
        empty = False
        yield from _leaves(item, (*path, key))
    if empty and value is not None:
        yield path
