# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This fragment is PRIVATE to the collection; it may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
  action_group:
    description: Use C(group/meshops.canary.canary) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - meshops.canary.canary
"""

    # For modules that change the cluster
    WRITES = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - Every change is sent to the API server as a dry run, so that admission webhooks, including Istio's, validate it.
  diff_mode:
    support: full
    details:
      - The difference is displayed as text, with shares in percent of requests.
  idempotent:
    support: full
"""

    # For modules that only read
    READS = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - This action does not modify state.
  diff_mode:
    support: N/A
    details:
      - This action does not modify state.
  idempotent:
    support: full
    details:
      - This action does not modify state.
"""
