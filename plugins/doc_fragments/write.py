# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This fragment is PRIVATE to the collection; it may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  preflight:
    description:
      - Whether to check, before writing, for problems such as a subset without ready pods or two objects
        that claim the host. Errors refuse the change, warnings are displayed.
      - With V(false), the module reads only the routing objects. In combination with O(wait=false), that is one GET if nothing
        changes, or one GET and one PATCH if something changes. A plan that needs more objects reads those too.
    type: bool
    default: true
  force:
    description:
      - Codes of findings that do not refuse the change, as returned in RV(findings[].code).
      - Findings that prevent a plan, such as V(HOST_CLAIMED_TWICE), cannot be forced, and their codes are rejected here.
        C(docs/findings.md) marks them.
    type: list
    elements: str
    default: []
  return_object:
    description: Whether to return the routing objects after the change, without C(managedFields).
    type: bool
    default: false
"""
