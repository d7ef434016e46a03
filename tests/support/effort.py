# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many rounds a test runs: few in `make test`, the full number in `make soak`, which sets CANARY_SOAK=1."""

from __future__ import annotations

import os
import random


def is_soak() -> bool:
    """Return whether this is a soak run."""
    return os.environ.get("CANARY_SOAK", "") not in ("", "0")


def rounds(short: int, soak: int) -> int:
    """Return the number of rounds that a test repeats its proof: `soak` in a soak run, else `short`."""
    return soak if is_soak() else short


def random_numbers() -> random.Random:
    """Return a random number generator and print its seed. CANARY_SEED repeats a run with the seed that it printed."""
    seed = int(os.environ.get("CANARY_SEED") or random.randrange(10**6))
    print(f"Random seed: {seed}. To repeat: CANARY_SEED={seed}")
    return random.Random(seed)
