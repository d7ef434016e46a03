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
      - Whether to look for what would harm traffic before writing, such as a subset without ready pods or two objects
        that claim the host. Errors refuse the change, warnings are shown.
      - Without it nothing but the routing objects is read. With O(wait=false) that is one GET when nothing changes, one
        GET and one PATCH when something does; a plan that needs more objects reads those too.
    type: bool
    default: true
  force:
    description:
      - Codes of findings that shall not refuse the change, as RV(findings[].code) gives them.
      - A code without which nothing can be planned, such as V(HOST_CLAIMED_TWICE), cannot be forced and is an error here;
        C(docs/findings.md) marks them.
    type: list
    elements: str
    default: []
  return_object:
    description: Whether to return the routing objects after the change, without C(managedFields).
    type: bool
    default: false
"""
