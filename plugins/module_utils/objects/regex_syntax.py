# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Regular expressions in the syntax of RE2, which Envoy uses, as trees. Pure.

Source: https://github.com/google/re2/wiki/Syntax. Unlike in Python, `\\d`, `\\w`, `\\s` and `\\b` are ASCII,
`$` is the end of the text and not what is before a last newline, `{,3}` is text, and there are no look-arounds and no
back references.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

MAX_REPEAT: t.Final = 1000
MAX_DEPTH: t.Final = 100
_LAST: t.Final = 0x10FFFF

if t.TYPE_CHECKING:
    Ranges: t.TypeAlias = tuple[tuple[int, int], ...]
    Node: t.TypeAlias = "CharSet | Repeat | Group | Assertion | Sequence | Alternatives"


class InvalidExpression(ValueError):
    """RE2 would refuse the expression."""


class Undecided(ValueError):
    """RE2 may take the expression, but it uses what is not known here, or it takes too long."""


@dataclass(frozen=True)
class CharSet:
    """Characters, by ranges of code points. folds: upper and lower case are the same."""

    ranges: Ranges
    folds: bool = False

    def has(self, char: str) -> bool:
        """Return whether the character is one of these. Raises Undecided for case beyond ASCII."""
        if self.folds and char > "\x7f":
            raise Undecided("it ignores the case of a character beyond ASCII")
        variants = {char, char.lower(), char.upper()} if self.folds else {char}
        return any(low <= ord(one) <= high for one in variants for low, high in self.ranges)


class Repeat(t.NamedTuple):
    """A part that comes `least` to `most` times, None for any number."""

    part: Node
    least: int
    most: int | None
    greedy: bool


class Group(t.NamedTuple):
    """A part whose text is remembered. number: from 1."""

    part: Node
    number: int


class Assertion(t.NamedTuple):
    """A place between characters: begin, end, line_begin, line_end, word, no_word."""

    kind: str


class Sequence(t.NamedTuple):
    """Parts one after the other."""

    parts: tuple[Node, ...]


class Alternatives(t.NamedTuple):
    """Parts of which one is there, the earlier ones preferred."""

    parts: tuple[Node, ...]


class _Flags(t.NamedTuple):
    i: bool = False
    m: bool = False
    s: bool = False
    U: bool = False


_CLASSES: t.Final[dict[str, Ranges]] = {
    "d": ((48, 57),),
    "s": ((9, 10), (12, 13), (32, 32)),
    "w": ((48, 57), (65, 90), (95, 95), (97, 122)),
}
_POSIX: t.Final[dict[str, Ranges]] = {
    "alnum": ((48, 57), (65, 90), (97, 122)),
    "alpha": ((65, 90), (97, 122)),
    "ascii": ((0, 127),),
    "blank": ((9, 9), (32, 32)),
    "cntrl": ((0, 31), (127, 127)),
    "digit": ((48, 57),),
    "graph": ((33, 126),),
    "lower": ((97, 122),),
    "print": ((32, 126),),
    "punct": ((33, 47), (58, 64), (91, 96), (123, 126)),
    "space": ((9, 13), (32, 32)),
    "upper": ((65, 90),),
    "word": ((48, 57), (65, 90), (95, 95), (97, 122)),
    "xdigit": ((48, 57), (65, 70), (97, 102)),
}
_CONTROLS: t.Final = {"a": 7, "f": 12, "t": 9, "n": 10, "r": 13, "v": 11}
_ASSERTIONS: t.Final = {"A": "begin", "z": "end", "b": "word", "B": "no_word"}
_COUNT: t.Final = re.compile(r"\{(\d{1,9})(?:(,)(\d{0,9}))?\}", re.ASCII)
_NAMED: t.Final = re.compile(r"\?P?<([A-Za-z0-9_]+)>")
_FLAGS: t.Final = re.compile(r"\?([imsU]*)(?:-([imsU]+))?([:)])")
_HEX: t.Final = re.compile(r"\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{2})")
_OCTAL: t.Final = re.compile(r"0[0-7]{0,2}|[1-7][0-7]{1,2}")
_POSIX_CLASS: t.Final = re.compile(r"\[:(\^?)(\w*):\]", re.ASCII)


def parse(pattern: str) -> tuple[Node, int]:
    """Return the tree and the number of groups. Raises InvalidExpression or Undecided."""
    parser = _Parser(pattern)
    node = parser.alternatives(0)
    if parser.peek() == ")":
        raise InvalidExpression("a ) has no (")
    return node, parser.groups


class _Parser:
    def __init__(self, pattern: str) -> None:
        self._text, self._at, self._flags = pattern, 0, _Flags()
        self._names: set[str] = set()
        self.groups = 0

    def peek(self) -> str:
        """Return the next character, empty at the end."""
        return self._text[self._at : self._at + 1]

    def alternatives(self, depth: int) -> Node:
        """Read up to the end or to a closing parenthesis."""
        if depth > MAX_DEPTH:
            raise Undecided(f"its parentheses are nested more than {MAX_DEPTH} deep")
        parts = [self._sequence(depth)]
        while self.peek() == "|":
            self._at += 1
            parts.append(self._sequence(depth))
        return parts[0] if len(parts) == 1 else Alternatives(tuple(parts))

    def _sequence(self, depth: int) -> Node:
        parts: list[Node] = []
        while self.peek() not in ("", "|", ")"):
            if self._quantifier_ahead():
                raise InvalidExpression(f"{self.peek()} has nothing to repeat")
            part = self._part(depth)
            if part is not None:
                parts.append(self._repeated(part))
            elif self._quantifier_ahead():
                raise Undecided("it repeats flags")
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _quantifier_ahead(self) -> bool:
        return self.peek() in ("*", "+", "?") or bool(_COUNT.match(self._text, self._at))

    def _repeated(self, part: Node) -> Node:
        if not self._quantifier_ahead():
            return part
        sign, counted = self.peek(), _COUNT.match(self._text, self._at)
        least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(sign, (0, None))
        self._at += 1
        if counted:
            self._at = counted.end()
            least = int(counted[1])
            most = least if not counted[2] else int(counted[3]) if counted[3] else None
            if max(least, most or 0) > MAX_REPEAT or (most is not None and most < least):
                raise InvalidExpression(f"{counted[0]} is no number of repetitions")
        lazy = self.peek() == "?"
        self._at += lazy
        if self._quantifier_ahead():
            raise InvalidExpression(f"{self.peek()} follows another repetition")
        return Repeat(part, least, most, greedy=lazy == self._flags.U)

    def _part(self, depth: int) -> Node | None:
        """Return the next part, None for one that only sets flags."""
        char = self._next()
        if char == "(":
            return self._group(depth)
        if char == "[":
            return self._class()
        if char == ".":
            return CharSet(((0, _LAST),)) if self._flags.s else CharSet(((0, 9), (11, _LAST)))
        if char == "^":
            return Assertion("line_begin" if self._flags.m else "begin")
        if char == "$":
            return Assertion("line_end" if self._flags.m else "end")
        if char != "\\":
            return self._set(((ord(char), ord(char)),))
        if self.peek() in _ASSERTIONS:
            return Assertion(_ASSERTIONS[self._next()])
        if self.peek().lower() in _CLASSES:
            return CharSet(self._escaped(), self._flags.i)
        return self._set(self._escaped())

    def _next(self) -> str:
        char = self.peek()
        self._at += 1
        return char

    def _set(self, ranges: Ranges) -> CharSet:
        if self._flags.i and any(high > 127 for _low, high in ranges):
            raise Undecided("it ignores the case of a character beyond ASCII")
        return CharSet(ranges, self._flags.i)

    def _group(self, depth: int) -> Node | None:
        before, number = self._flags, 0
        named, flags = _NAMED.match(self._text, self._at), _FLAGS.match(self._text, self._at)
        if self.peek() != "?" or named:
            self.groups += 1
            number = self.groups
            if named:
                self._name(named[1])
                self._at = named.end()
        elif not flags:
            raise InvalidExpression(f"RE2 has no ({self._text[self._at : self._at + 3]}")
        else:
            on, off = dict.fromkeys(flags[1], True), dict.fromkeys(flags[2] or "", False)
            self._flags = self._flags._replace(**on, **off)
            self._at = flags.end()
            if flags[3] == ")":
                return None
        part = self.alternatives(depth + 1)
        if self._next() != ")":
            raise InvalidExpression("a ( has no )")
        self._flags = before
        return Group(part, number) if number else part

    def _name(self, name: str) -> None:
        if name in self._names:
            raise Undecided(f"two groups are called {name}")
        self._names.add(name)

    def _escaped(self) -> Ranges:
        """Return what the characters after a backslash stand for."""
        octal = _OCTAL.match(self._text, self._at)
        if octal:
            self._at = octal.end()
            return _one(int(octal[0], 8))
        char = self._next()
        if char.lower() in _CLASSES:
            found = _CLASSES[char.lower()]
            return found if char.islower() else _complement(found)
        if char in _CONTROLS:
            return _one(_CONTROLS[char])
        if char == "x":
            digits = _HEX.match(self._text, self._at)
            if not digits or int(digits[1] or digits[2], 16) > _LAST:
                raise InvalidExpression("\\x needs two hexadecimal digits")
            self._at = digits.end()
            return _one(int(digits[1] or digits[2], 16))
        if char in ("p", "P", "C", "Q", "E", "_"):
            raise Undecided(f"it uses \\{char}")
        if not char or char > "\x7f" or char.isalnum():
            raise InvalidExpression(f"RE2 has no \\{char}" if char else "it ends with a backslash")
        return _one(ord(char))

    def _class(self) -> CharSet:
        negated = self.peek() == "^"
        self._at += negated
        ranges: list[tuple[int, int]] = []
        first = True
        while first or self.peek() != "]":
            if not self.peek():
                raise InvalidExpression("a [ has no ]")
            first = False
            ranges += self._posix() or self._range()
        self._at += 1
        found = tuple(ranges)
        if self._flags.i:
            folded = self._set(found)
            both = {one for code in range(128) for one in (chr(code),) if folded.has(one)}
            found = tuple((ord(one), ord(one)) for one in sorted(both))
            return CharSet(_complement(found), folds=True) if negated else CharSet(found, folds=True)
        return CharSet(_complement(found) if negated else found)

    def _posix(self) -> Ranges:
        found = _POSIX_CLASS.match(self._text, self._at)
        if not found:
            return ()
        if found[2] not in _POSIX:
            raise InvalidExpression(f"RE2 has no {found[0]}")
        self._at = found.end()
        return _complement(_POSIX[found[2]]) if found[1] else _POSIX[found[2]]

    def _range(self) -> Ranges:
        low = self._class_char()
        if len(low) > 1 or low[0][0] != low[0][1]:
            return low
        if self.peek() != "-" or self._text[self._at + 1 : self._at + 2] in ("]", ""):
            return low
        self._at += 1
        high = self._class_char()
        if len(high) > 1 or high[0][0] != high[0][1]:
            raise InvalidExpression("a range in [] ends with a class")
        if high[0][0] < low[0][0]:
            raise InvalidExpression("a range in [] ends before it begins")
        return ((low[0][0], high[0][0]),)

    def _class_char(self) -> Ranges:
        char = self._next()
        return self._escaped() if char == "\\" else _one(ord(char))


def _one(code: int) -> Ranges:
    return ((code, code),)


def _complement(ranges: Ranges) -> Ranges:
    found, start = [], 0
    for low, high in sorted(ranges):
        if low > start:
            found.append((start, low - 1))
        start = max(start, high + 1)
    return (*found, *([(start, _LAST)] if start <= _LAST else []))
