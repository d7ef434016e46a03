# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many examples: few while one works, over 10,000 in `make test` (`--hypothesis-profile=ci`).

Those of `ci` are the same each time, so that it tells of the change and not of luck; `explore` takes as many new ones.
"""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings

_CALM = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]

settings.register_profile("dev", max_examples=20, deadline=None, suppress_health_check=_CALM)
# For a first look: no shrinking, which takes longer than finding.
settings.register_profile("quick", max_examples=8, deadline=None, suppress_health_check=_CALM, phases=[Phase.generate])
# Sixteen properties of routing objects, 640 examples each, and three of lists and numbers.
_MANY = settings(max_examples=640, deadline=None, suppress_health_check=_CALM, print_blob=True)
settings.register_profile("explore", _MANY)
settings.register_profile("ci", _MANY, derandomize=True)
settings.load_profile("dev")
