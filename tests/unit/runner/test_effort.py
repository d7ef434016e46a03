# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tests run few rounds in `make test`, the full number in `make soak`, and print the seed of random numbers."""

from __future__ import annotations

import pytest
from support import effort


@pytest.mark.parametrize(("soak", "expected"), [("", 3), ("0", 3), ("1", 50)])
def test_a_soak_run_uses_the_full_number_of_rounds(monkeypatch: pytest.MonkeyPatch, soak: str, expected: int) -> None:
    monkeypatch.setenv("CANARY_SOAK", soak)
    assert effort.rounds(3, 50) == expected


def test_the_printed_seed_repeats_the_random_numbers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CANARY_SEED", raising=False)
    first = effort.random_numbers().random()
    monkeypatch.setenv("CANARY_SEED", capsys.readouterr().out.strip().rpartition("=")[2])
    assert effort.random_numbers().random() == first
