# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Regular expressions of others, matched in time that grows with the text and not with the ways to match it. Pure.

Python's engine tries one way after the other: `(a+)+b` takes 2^n steps for n letters a. Here all ways are followed at
once, as RE2 does it (R. Cox, https://swtch.com/~rsc/regexp/): sets of states, remembered by the character that led from
one to the next, and for groups threads that are ordered by preference. Syntax and results are those of RE2, so that an
expression of a route selects here what it selects in Envoy.
"""

from __future__ import annotations

import functools
import typing as t

from .regex_syntax import (
    Alternatives,
    Assertion,
    CharSet,
    Group,
    InvalidExpression,
    Repeat,
    Sequence,
    Undecided,
    parse,
)

__all__ = ["Expression", "InvalidExpression", "Undecided", "compiled"]

MAX_PROGRAM: t.Final = 10_000
"""Instructions of an expression; `.{1000}` has a thousand."""
MAX_WORK: t.Final = 3_000_000
"""Instructions that one match may execute: a few seconds."""
_SMALL: t.Final = 100
"""Instructions up to which the paths of each are remembered; their number is quadratic."""
_REMEMBERED: t.Final = 300_000
"""Places in all states that are remembered: some 20 MB."""

if t.TYPE_CHECKING:
    from .regex_syntax import Node

    Groups: t.TypeAlias = "tuple[int | None, ...]"
    Paths: t.TypeAlias = "t.Sequence[tuple[int, tuple[int, ...]]]"
    Instruction: t.TypeAlias = "CharSet | Assertion | _Split | _Save | None"  # None: a match


class _Split(t.NamedTuple):
    """Go on at both, the first one preferred."""

    first: int
    second: int


class _Save(t.NamedTuple):
    """Remember the place in the text. slot: twice the number of the group, plus one for its end."""

    slot: int


class _State:
    """All ways at one place of a text. places: instructions. before: the kind of the character before it.

    then: character -> the following state, None if a match ends here, for each of two modes: the whole text, or a part.
    """

    __slots__ = ("before", "places", "then")

    def __init__(self, places: frozenset[int], before: str) -> None:
        self.places, self.before = places, before
        self.then: tuple[dict[str, _State | None], dict[str, _State | None]] = ({}, {})


class Expression:
    """One compiled expression. groups: how many it has."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        tree, self.groups = parse(pattern)
        self._program: list[Instruction] = []
        self._emitted = 0
        self._emit(tree)
        self._program.append(None)
        self._states: dict[tuple[frozenset[int], str], _State] = {}
        self._tests: dict[tuple[int, str], bool] = {}
        self._known_paths: dict[tuple[int, str, str], Paths] = {}
        self._size = 0
        self._work = 0

    def fullmatch(self, text: str) -> bool:
        """Return whether the whole text matches. Raises Undecided."""
        self._begin(text)
        state = self._state(frozenset([0]), "begin")
        for char in text:
            following = self._follow(state, char, anywhere=False)
            if following is None or not following.places:
                return False
            state = following
        return self._ends(state)

    def search(self, text: str) -> bool:
        """Return whether a part of the text matches. Raises Undecided."""
        self._begin(text)
        state = self._state(frozenset([0]), "begin")
        for char in text:
            following = self._follow(state, char, anywhere=True)
            if following is None:
                return True
            state = following
        return self._ends(state)

    def find_groups(self, text: str) -> tuple[str | None, ...] | None:
        """Return the texts of the groups in the first match, the whole match first; None without one.

        A group that took no part is None. Of several matches at one place the one is found that Perl would find.
        """
        if not self.search(text):
            return None
        threads: list[tuple[int, Groups]] = []
        found: Groups | None = None
        empty: Groups = (None,) * (2 * self.groups + 2)
        for at in range(len(text) + 1):
            before, char = text[at - 1 : at] if at else None, text[at : at + 1]
            if char and not threads and not found and self._begins_not(before, char):
                continue
            starts = [] if found else [(0, (at, *empty[1:]))]
            following: list[tuple[int, Groups]] = []
            for place, groups in self._reached([*threads, *starts], _kind(before), _kind(char), at):
                instruction = self._program[place]
                if instruction is None:
                    found = (groups[0], at, *groups[2:])
                    break
                if char and self._test(place, char):
                    following.append((place + 1, groups))
            threads = following
            if found and not threads:
                break
        if found is None:
            return None
        pairs = zip(found[::2], found[1::2], strict=True)
        return tuple(None if begin is None or end is None else text[begin:end] for begin, end in pairs)

    def _begin(self, text: str) -> None:
        self._work = 0
        if not text.isascii() and any(one == Assertion("no_word") for one in self._program):
            raise Undecided("it uses \\B with a text beyond ASCII, of which RE2 sees the bytes")

    def _begins_not(self, before: str | None, char: str) -> bool:
        """Return whether no match begins at this character."""
        state = self._follow(self._state(frozenset([0]), _kind(before)), char, anywhere=True)
        return state is not None and state.places == {0}

    # From the tree to instructions

    def _emit(self, node: Node) -> None:
        self._emitted += 1
        if max(len(self._program), self._emitted // 10) > MAX_PROGRAM:
            raise Undecided("it is too large")
        if isinstance(node, (CharSet, Assertion)):
            self._program.append(node)
        elif isinstance(node, Sequence):
            for part in node.parts:
                self._emit(part)
        elif isinstance(node, Group):
            self._program.append(_Save(2 * node.number))
            self._emit(node.part)
            self._program.append(_Save(2 * node.number + 1))
        elif isinstance(node, Alternatives):
            self._emit_alternatives(node)
        else:
            self._emit_repeat(node)

    def _emit_alternatives(self, node: Alternatives) -> None:
        ends = []
        for part in node.parts[:-1]:
            split = self._reserve()
            self._emit(part)
            ends.append(self._reserve())
            self._program[split] = _Split(split + 1, len(self._program))
        self._emit(node.parts[-1])
        for end in ends:
            self._program[end] = _Split(len(self._program), len(self._program))

    def _emit_repeat(self, node: Repeat) -> None:
        if node.most is None:
            self._emit_endless(node)
            return
        for _once in range(node.least):
            self._emit(node.part)
        splits = []
        for _once in range(node.most - node.least):
            splits.append(self._reserve())
            self._emit(node.part)
        for split in splits:
            self._program[split] = self._split(split + 1, len(self._program), node.greedy)

    def _emit_endless(self, node: Repeat) -> None:
        """Emit x* as (x+)?, so that an x without characters takes part once."""
        for _once in range(node.least - 1):
            self._emit(node.part)
        opening = self._reserve() if not node.least else None
        start = len(self._program)
        self._emit(node.part)
        self._program.append(self._split(start, len(self._program) + 1, node.greedy))
        if opening is not None:
            self._program[opening] = self._split(start, len(self._program), node.greedy)

    def _reserve(self) -> int:
        self._program.append(None)
        return len(self._program) - 1

    @staticmethod
    def _split(into: int, past: int, greedy: bool) -> _Split:
        return _Split(into, past) if greedy else _Split(past, into)

    # All ways at once

    def _state(self, places: frozenset[int], before: str) -> _State:
        """Return the one state of this kind; the oldest memories go when there are too many."""
        key = (places, before)
        if key not in self._states:
            self._size += 1 + len(places)
            if self._size > _REMEMBERED:
                for one in self._states.values():
                    one.then = ({}, {})
                self._states.clear()
                self._size = 1 + len(places)
            self._states[key] = _State(places, before)
        return self._states[key]

    def _follow(self, state: _State, char: str, *, anywhere: bool) -> _State | None:
        """Return the state after the character; None if a match ends before it and may end anywhere."""
        known = state.then[anywhere]
        if char in known:
            return known[char]
        following: set[int] = set()
        matched = False
        for place, _groups in self._reached([(one, ()) for one in state.places], state.before, _kind(char), 0):
            if self._program[place] is None:
                matched = True
            elif self._test(place, char):
                following.add(place + 1)
        if anywhere:
            following.add(0)
        found = None if matched and anywhere else self._state(frozenset(following), _kind(char))
        self._size += 1
        state.then[anywhere][char] = found
        return found

    def _ends(self, state: _State) -> bool:
        reached = self._reached([(one, ()) for one in state.places], state.before, "", 0)
        return any(self._program[place] is None for place, _groups in reached)

    def _reached(
        self, threads: t.Sequence[tuple[int, Groups]], before: str, after: str, at: int
    ) -> t.Iterator[tuple[int, Groups]]:
        """Yield what the threads reach without a character: sets of characters, and the match. Preferred ones first.

        before, after: the kinds of the characters around the place. at: the place, for the groups.
        """
        seen: set[int] = set()
        for start, groups in threads:
            for place, slots in self._paths(start, before, after, seen, saves=bool(groups)):
                if slots and groups:
                    changed = list(groups)
                    for slot in slots:
                        changed[slot] = at
                    yield place, tuple(changed)
                else:
                    yield place, groups
        if self._work > MAX_WORK:
            raise Undecided("it takes too long with this text")

    def _paths(self, start: int, before: str, after: str, seen: set[int], *, saves: bool) -> Paths:
        """Return what is reached from one instruction, each with the slots that are saved on the way there.

        seen: what was reached before, and need not be again; it grows.
        """
        if len(self._program) > _SMALL:
            return self._explored(start, before, after, seen, saves=saves)
        key = (start, before, after)
        if key not in self._known_paths:
            self._known_paths[key] = self._explored(start, before, after, set(), saves=True)
        paths = [one for one in self._known_paths[key] if one[0] not in seen]
        seen.update(place for place, _slots in paths)
        self._work += 1
        return paths

    def _explored(self, start: int, before: str, after: str, seen: set[int], *, saves: bool) -> Paths:
        found: list[tuple[int, tuple[int, ...]]] = []
        known = len(seen)
        stack: list[tuple[int, tuple[int, ...]]] = [(start, ())]
        while stack:
            place, slots = stack.pop()
            if place in seen:
                continue
            seen.add(place)
            instruction = self._program[place]
            if isinstance(instruction, _Split):
                stack += [(instruction.second, slots), (instruction.first, slots)]
            elif isinstance(instruction, _Save):
                new = saves and instruction.slot not in slots
                stack.append((place + 1, (*slots, instruction.slot) if new else slots))
            elif isinstance(instruction, Assertion):
                if _holds(instruction.kind, before, after):
                    stack.append((place + 1, slots))
            else:
                found.append((place, slots))
        self._work += len(seen) - known
        return found

    def _test(self, place: int, char: str) -> bool:
        key = (place, char)
        if key not in self._tests:
            if len(self._tests) >= _REMEMBERED:
                self._tests.clear()
            self._tests[key] = t.cast("CharSet", self._program[place]).has(char)
        return self._tests[key]


@functools.lru_cache(maxsize=1024)
def _kind(char: str | None) -> str:
    """Return what an assertion must know of a character: newline, word or other; begin for None, empty at the end."""
    if not char:
        return "begin" if char is None else ""
    if char == "\n":
        return "newline"
    return "word" if char.isascii() and (char.isalnum() or char == "_") else "other"


def _holds(kind: str, before: str, after: str) -> bool:
    if kind in ("begin", "line_begin"):
        return before == "begin" or (kind == "line_begin" and before == "newline")
    if kind in ("end", "line_end"):
        return after == "" or (kind == "line_end" and after == "newline")
    return (kind == "word") == ((before == "word") != (after == "word"))


@functools.lru_cache(maxsize=64)
def compiled(pattern: str) -> Expression:
    """Return the expression, from the last ones if it was one of them. Raises InvalidExpression or Undecided."""
    return Expression(pattern)
