# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The load is measured while the task does something else, and what cannot be measured is not zero."""

from __future__ import annotations

import typing as t
from types import SimpleNamespace

from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError
from ansible_collections.meshops.canary.plugins.module_utils.evidence import load as subject

if t.TYPE_CHECKING:
    import pytest


class Counters:
    """The proxies' counters; each second adds `per_second` requests."""

    def __init__(self, seconds: list[float], per_second: float, notes: list[str] | None = None) -> None:
        self.seconds, self.per_second, self.notes = seconds, per_second, notes or []

    def read(self) -> float:
        return self.seconds[0]

    def grown_since(self, before: float, _seconds: float) -> t.Any:
        total = (self.seconds[0] - before) * self.per_second
        return SimpleNamespace(versions=SimpleNamespace(total=total), notes=self.notes)


def measured(monkeypatch: pytest.MonkeyPatch, counters: t.Any, *, meanwhile: float = 0.0) -> tuple[float | None, float]:
    """Return the load, and how many seconds its measurement waited. meanwhile: seconds of other work."""
    seconds, waited = counters.seconds if counters else [0.0], [0.0]

    def sleep(some: float) -> None:
        seconds[0] += some
        waited[0] += some

    def begin(self: subject.Load, *_given: t.Any) -> None:
        if counters is None:
            raise ApiError("not allowed", 403)
        self._counters = counters
        self._before, self._began = counters.read(), seconds[0]

    monkeypatch.setattr(subject.Load, "_begin", begin)
    one = subject.Load(t.cast("t.Any", None), t.cast("t.Any", None), {}, clock=lambda: seconds[0], sleep=sleep)
    seconds[0] += meanwhile
    return one.per_second(), waited[0]


def test_a_sample_waits_only_for_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured(monkeypatch, Counters([0.0], 40.0)) == (40.0, subject.MIN_SECONDS)
    assert measured(monkeypatch, Counters([0.0], 40.0), meanwhile=1.0) == (40.0, subject.MIN_SECONDS - 1.0)
    assert measured(monkeypatch, Counters([0.0], 40.0), meanwhile=5.0) == (40.0, 0.0)
    assert measured(monkeypatch, Counters([0.0], 0.0))[0] == 0.0


def test_what_is_not_known_is_not_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured(monkeypatch, None) == (None, 0.0)
    assert measured(monkeypatch, Counters([0.0], 40.0, ["1 of 2 proxies were not read"]))[0] is None
