# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tests at the end of an analysis, which may come again and again while another metric is undecided. Pure."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .verdict import Judgement


class FinalTests:
    """The tests at the end. Between two of them the last judgement stands. alpha: for all of them together."""

    def __init__(self, alpha: float) -> None:
        self._alpha, self._tests, self._next = alpha, 0, 0
        self._last: Judgement | None = None

    def judgement(self, requests: int, test: Callable[[float], Judgement]) -> Judgement:
        """Return the judgement of `test` at the level of the next test; too few requests do not count as a test.

        requests: of the canary so far.
        """
        if self._last is not None and requests < self._next:
            return self._last
        judgement = test(self._alpha / ((self._tests + 1) * (self._tests + 2)))
        if judgement.outcome != "inconclusive":
            self._last, self._tests, self._next = judgement, self._tests + 1, 2 * requests
        return judgement
