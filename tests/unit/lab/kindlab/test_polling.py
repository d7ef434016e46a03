# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for a condition."""

from __future__ import annotations

from lab.kindlab import polling


def test_wait_ends_when_the_condition_becomes_true() -> None:
    answers = iter([False, False, True])
    assert polling.wait_until(lambda: next(answers), 60, interval=0.001)
    assert list(answers) == []


def test_condition_that_stays_false_is_reported_after_the_time() -> None:
    assert not polling.wait_until(lambda: False, 0.01, interval=0.001)
