# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes of single objects."""

from __future__ import annotations

import copy

from ansible_collections.meshops.canary.plugins.module_utils.objects.change import creation, deletion, edit
from support import reviews as rv


def test_a_change_has_a_verb_and_an_object() -> None:
    obj = rv.virtual_service()
    assert (creation(obj).verb, deletion(obj).verb) == ("create", "delete")
    assert creation(obj).object == "VirtualService bookinfo/reviews"
    assert edit(obj, copy.deepcopy(obj)) is None
