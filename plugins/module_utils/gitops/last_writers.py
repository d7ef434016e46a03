# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who wrote the fields of a rollout last, as the API server notes it. Pure."""

from __future__ import annotations

import typing as t

from ..objects.metadata import full_name
from ..objects.owners import OWN_MANAGER, last_writer
from .appliers import tool_of_manager
from .pause import FIELDS

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ..objects.metadata import Object


_WITHOUT_SHARES: t.Final = ("DestinationRule",)
"""Kinds whose author says nothing about a share that was changed."""


def last_writers(objects: Iterable[Object]) -> str:
    """Return a sentence about each object whose shares or pods somebody else wrote last, empty if nobody did."""
    return " ".join(text for obj in objects if (text := _sentence(obj)))


def _sentence(obj: Object) -> str:
    kind = str(obj.get("kind"))
    pointers = FIELDS.get(kind, ()) if kind not in _WITHOUT_SHARES else ()
    found = [writer for one in pointers if (writer := last_writer(obj, *one.strip("/").split("/")))]
    if not found:
        return ""
    manager, time = max(found, key=lambda one: one[1])
    if manager == OWN_MANAGER:
        return ""
    tool = tool_of_manager(manager)
    by = f"{tool} (field manager {manager})" if tool else f"field manager {manager}"
    return f"{full_name(obj)} was last written by {by}" + (f" at {time}" if time else "")
