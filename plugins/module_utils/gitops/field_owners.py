# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Give the ownership of fields back to who applies them from Git. Pure.

The API server notes who wrote which field in managedFields. Argo CD can be told to ignore what a field manager wrote
(`managedFieldsManagers`), and then never again sees a change of the routes in Git (argo-rollouts#3854).
"""

from __future__ import annotations

import copy
import typing as t

from ..objects.change import edit
from ..objects.metadata import full_name
from ..objects.owners import OWN_MANAGER

if t.TYPE_CHECKING:
    from ..objects.change import Change
    from ..objects.metadata import Object


def give_back(obj: Object) -> Change | None:
    """Return the change that removes our claims on the spec, None without any. The values stay as they are."""
    entries, kept = (obj.get("metadata") or {}).get("managedFields") or [], []
    for entry in entries:
        fields = entry.get("fieldsV1") or {}
        if entry.get("manager") != OWN_MANAGER or "f:spec" not in fields:
            kept.append(entry)
            continue
        rest = {key: value for key, value in fields.items() if key != "f:spec"}
        if rest:
            kept.append({**entry, "fieldsV1": rest})
    if kept == entries:
        return None
    after = copy.deepcopy(obj)
    after["metadata"]["managedFields"] = copy.deepcopy(kept) or [{}]
    return edit(obj, after, [f"give the fields of {full_name(obj)} back"])
