# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Profiles of hypothesis, one for each of `make check`, `make test` and `make soak`.

The examples of `check` and `test` are the same in every run, so that a failure comes from a change of the code. `soak`
runs over 10,000 new examples and prints how to repeat those that fail.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from support.effort import is_soak

_COMMON = settings(
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
settings.register_profile("check", _COMMON, max_examples=10, derandomize=True)
settings.register_profile("test", _COMMON, max_examples=30, derandomize=True)
settings.register_profile("soak", _COMMON, max_examples=640)  # of each of the 35 properties
settings.load_profile("soak" if is_soak() else "check")
