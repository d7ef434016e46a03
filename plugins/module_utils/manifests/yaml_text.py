# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Edits of YAML and JSON as text: only the characters of a changed value are replaced.

A YAML library that loads and dumps again moves comments, indents lists anew, folds long lines and changes quotes. So a
value is found by the position that PyYAML gives its node, and everything else stays byte for byte. Line ends are those
of the file. The result is read again and compared by the caller.
"""

from __future__ import annotations

import json
import typing as t

try:
    import yaml
except ImportError:  # the client of Kubernetes needs it too, and names what is missing
    yaml = None  # type: ignore[assignment]

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Node = t.Any
    Identity = Callable[[t.Any], str]

LARGEST: t.Final = 5_000_000
"""Characters of a file that are read."""
MERGE: t.Final = "<<"


class CannotEdit(ValueError):
    """A text that is no YAML, or a value that cannot be replaced without changing something else."""


class Edit(t.NamedTuple):
    """Replace the characters from start to end by text."""

    start: int
    end: int
    text: str


class Parsed(t.NamedTuple):
    """The documents of a text: their nodes, and their values in the same order."""

    nodes: list[Node]
    values: list[t.Any]


def parse(text: str) -> Parsed:
    """Return the documents. Raises CannotEdit with the line if it is no YAML, or uses tags that nobody knows."""
    if len(text) > LARGEST:
        raise CannotEdit(f"it has more than {LARGEST} characters")
    readable = text.replace("\ufeff", " ", 1) if text.startswith("\ufeff") else text
    if readable.lstrip()[:1] in ("{", "["):
        readable = readable.replace("\t", " ")  # JSON may be indented with them, and has none in its strings
    try:
        nodes = list(yaml.compose_all(readable, Loader=yaml.SafeLoader))
        values = list(yaml.safe_load_all(readable))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise CannotEdit(f"{where}{getattr(error, 'problem', None) or error}") from None
    except (RecursionError, ValueError, TypeError, AttributeError) as error:
        raise CannotEdit(f"{error}") from None
    return Parsed(nodes, values)


def child(node: Node, key: str | int) -> Node | None:
    """Return the value of a key, or the item of a list; None without one. A key of a merge (`<<`) is not seen."""
    if isinstance(node, yaml.MappingNode):
        found = [value for name, value in node.value if name.value == key]
        if len(found) > 1:
            raise CannotEdit(f"line {node.start_mark.line + 1}: the key {key} occurs more than once")
        return found[0] if found else None
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        return node.value[key]
    return None


def shared(root: Node) -> set[int]:
    """Return the ids of the nodes that occur in several places of a document, by an anchor and its aliases."""
    seen: set[int] = set()
    found: set[int] = set()

    def visit(node: Node, inside: bool) -> None:
        repeated = inside or id(node) in seen
        if repeated:
            found.add(id(node))
        if id(node) in seen and not inside:
            for one in _children(node):
                visit(one, inside=True)
            return
        seen.add(id(node))
        for one in _children(node):
            visit(one, inside=inside)

    visit(root, inside=False)
    return found


def applied(text: str, edits: Sequence[Edit]) -> str:
    """Return the text with the edits. Raises CannotEdit if two of them overlap."""
    last = len(text) + 1
    # Of two insertions at one place, the one that came first stands first.
    for _place, one in sorted(enumerate(edits), key=lambda pair: (pair[1].start, pair[1].end, pair[0]), reverse=True):
        if one.end > last:
            raise CannotEdit("two values to change lie in each other")
        text, last = text[: one.start] + one.text + text[one.end :], one.start
    return text


class Editor:
    """Makes the edits of one document. identity: what pairs the items of a list in the file with the wanted ones."""

    def __init__(self, text: str, root: Node, identity: Identity) -> None:
        self._text, self._identity = text, identity
        self._shared = shared(root)
        self._newline = "\r\n" if "\r\n" in text else "\n"
        self.rewritten: list[int] = []

    def set(self, node: Node, current: t.Any, wanted: t.Any) -> Iterator[Edit]:
        """Yield the edits that give a node the wanted value. rewritten: lines of lists that were written anew.

        Raises CannotEdit.
        """
        if equal(current, wanted):
            return
        if id(node) in self._shared:
            line = node.start_mark.line + 1
            raise CannotEdit(f"line {line}: the value belongs to an anchor (&) that other places use (*)")
        if isinstance(node, yaml.MappingNode) and isinstance(wanted, dict) and isinstance(current, dict):
            yield from self._mapping(node, current, wanted)
        elif isinstance(node, yaml.SequenceNode) and isinstance(wanted, list) and isinstance(current, list):
            yield from self._sequence(node, current, wanted)
        else:
            yield self._replace(node, wanted)

    def _mapping(self, node: Node, current: dict[str, t.Any], wanted: dict[str, t.Any]) -> Iterator[Edit]:
        merged = child(node, MERGE) is not None
        missing = [key for key in wanted if child(node, key) is None and not equal(current.get(key, ...), wanted[key])]
        surplus = [key for key in current if key not in wanted]
        if surplus or (missing and (node.flow_style or not node.value)):
            if merged:
                raise CannotEdit(f"line {node.start_mark.line + 1}: a key comes from a merge (<<)")
            yield self._replace(node, wanted)
            return
        if merged and any(isinstance(wanted[key], (dict, list)) for key in missing):
            raise CannotEdit(f"line {node.start_mark.line + 1}: a key comes from a merge (<<)")
        for key, value in wanted.items():
            found = child(node, key)
            if found is not None:
                yield from self.set(found, current[key], value)
        if missing:
            indent = " " * node.start_mark.column
            lines = self._block({key: wanted[key] for key in missing}, indent)
            yield self._after(node, f"{self._newline}{indent}{lines}")

    def _sequence(self, node: Node, current: list[t.Any], wanted: list[t.Any]) -> Iterator[Edit]:
        here, there = [self._identity(one) for one in current], [self._identity(one) for one in wanted]
        kept = [one for one in here if one in there]
        ordered = len(set(here)) == len(here) and len(set(there)) == len(there) and there[: len(kept)] == kept
        in_lines = not node.flow_style and all(self._begins_line(node, one) for one in node.value)
        if not ordered or not kept or (len(kept) < max(len(here), len(there)) and not in_lines):
            yield self._replace(node, wanted)
            return
        for item, old, key in zip(node.value, current, here, strict=True):
            if key in there:
                yield from self.set(item, old, wanted[there.index(key)])
            else:
                yield self._without(item)
        added = wanted[len(kept) :]
        if added:
            indent = " " * node.start_mark.column
            yield self._after(node, f"{self._newline}{indent}{self._block(added, indent)}")

    def _begins_line(self, sequence: Node, item: Node) -> bool:
        """Return whether the item's dash is alone before it on its line."""
        start = self._line_start(item.start_mark.index)
        return self._text[start : item.start_mark.index].strip() == "-" and (
            self._text[start + sequence.start_mark.column] == "-"
        )

    def _without(self, item: Node) -> Edit:
        if id(item) in self._shared or _has_anchor(self._text, item):
            raise CannotEdit(f"line {item.start_mark.line + 1}: the item has an anchor (&), or belongs to one")
        start, end = self._line_start(item.start_mark.index), self._line_end(self._end(item))
        if end < len(self._text):
            return Edit(start, end + len(self._newline), "")
        return Edit(max(start - len(self._newline), 0), end, "")  # the last line of a file without an end of line

    def _replace(self, node: Node, wanted: t.Any) -> Edit:
        if any(id(one) in self._shared for one in _all(node)) or _has_anchor(self._text, node):
            raise CannotEdit(f"line {node.start_mark.line + 1}: the value has an anchor (&), or an alias (*)")
        start, end = node.start_mark.index, self._end(node)
        if isinstance(node, yaml.ScalarNode):
            return Edit(start, end, self._scalar(node, wanted))
        self.rewritten.append(node.start_mark.line + 1)
        if node.flow_style or not wanted:
            return Edit(start, end, json.dumps(wanted, ensure_ascii=False))
        return Edit(start, end, self._block(wanted, " " * node.start_mark.column))

    def _scalar(self, node: Node, wanted: t.Any) -> str:
        if isinstance(wanted, (dict, list)):
            return json.dumps(wanted, ensure_ascii=False)
        if node.style in ("|", ">"):
            raise CannotEdit(f"line {node.start_mark.line + 1}: the value is a block of text")
        if isinstance(wanted, str) and node.style == "'" and wanted.isprintable():
            return "'" + wanted.replace("'", "''") + "'"
        if isinstance(wanted, str) and node.style == '"':
            return json.dumps(wanted, ensure_ascii=False)
        lead = "" if node.start_mark.index != node.end_mark.index else " "  # a key without a value
        return lead + yaml.safe_dump(wanted, width=float("inf"), allow_unicode=True).split("\n")[0]

    def _block(self, value: t.Any, indent: str) -> str:
        lines = yaml.safe_dump(value, sort_keys=False, width=float("inf"), allow_unicode=True).rstrip("\n").split("\n")
        return f"{self._newline}{indent}".join(lines)

    def _after(self, node: Node, text: str) -> Edit:
        """Return the insertion behind the last line of a block collection, and behind its comment."""
        at = self._line_end(self._end(node))
        return Edit(at, at, text)

    def _end(self, node: Node) -> int:
        """Return where the node's own text ends: PyYAML counts the lines up to the next token to a block."""
        if isinstance(node, yaml.ScalarNode) or node.flow_style or not node.value:
            end: int = node.end_mark.index
            return len(self._text[:end].rstrip()) if getattr(node, "style", None) in ("|", ">") else end
        return max(self._end(one) for one in _children(node))

    def _line_start(self, index: int) -> int:
        return self._text.rfind("\n", 0, index) + 1

    def _line_end(self, index: int) -> int:
        """Return where the line ends: before its line break, or at the end of the text."""
        found = self._text.find("\n", index)
        end = len(self._text) if found < 0 else found
        return end - 1 if found > 0 and self._text[found - 1] == "\r" else end


def block_text(text: str, node: Node) -> tuple[int, int, str] | None:
    """Return start and end of the lines of a literal block (`|`), and their indent; None for another node."""
    if not isinstance(node, yaml.ScalarNode) or node.style != "|":
        return None
    start = text.find("\n", node.start_mark.index) + 1
    line = next((one for one in text[start : node.end_mark.index].split("\n") if one.strip()), "")
    return start, node.end_mark.index, line[: len(line) - len(line.lstrip(" "))]


def equal(one: t.Any, other: t.Any) -> bool:
    """Return whether two values are equal; true is not 1."""
    if isinstance(one, bool) is not isinstance(other, bool):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(equal(*pair) for pair in zip(one, other, strict=True))
    return bool(one == other)


def _children(node: Node) -> list[Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _all(node: Node) -> Iterator[Node]:
    yield node
    for one in _children(node):
        yield from _all(one)


def _has_anchor(text: str, node: Node) -> bool:
    """Return whether the text of a node, or what stands before it on its line, has an anchor or an alias."""
    before = text[text.rfind("\n", 0, node.start_mark.index) + 1 : node.start_mark.index]
    tokens = [before, text[node.start_mark.index : node.end_mark.index]]
    try:
        return any(
            isinstance(token, (yaml.AnchorToken, yaml.AliasToken))
            for part in tokens
            for token in yaml.scan(part.strip(), Loader=yaml.SafeLoader)
        )
    except yaml.YAMLError:
        return any(mark in part for part in tokens for mark in ("&", "*"))
