# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The groups of response codes that are compared: classes, single codes of 4xx, and gRPC statuses. Pure.

Errors are not among them (`traffic.is_error`), and neither are canceled requests: both are judged by metrics of their
own.
"""

from __future__ import annotations

import re
import typing as t

from . import grpc_statuses
from .traffic import CANCELED, GRPC, GRPC_UNKNOWN, is_error

if t.TYPE_CHECKING:
    from collections.abc import Mapping

SUCCESS: t.Final = "2xx"
GRPC_CLASS: t.Final = "grpc"
_NOT_MODIFIED: t.Final = "304"
"""The body is the one that the caller has already, so it counts as an answer of 2xx. A new version has new ETags, and
answers 200 at first where stable answers 304."""

_CLASS_SHARES: t.Final = {SUCCESS: 0.10, "4xx": 0.25, "3xx": 0.20, GRPC_CLASS: 0.10, "1xx": 0.02, "other": 0.01}
_USUAL_SHARE: t.Final = 0.02
_OTHER_SHARE: t.Final = 0.0005
_USUAL: t.Final = frozenset({"400", "401", "403", "404", "405", "409", "410", "415", "422", "429"})
_GRPC_SHARE: t.Final = 0.005
_FAILURE_SHARE: t.Final = 0.002
"""Of each gRPC status that is an error by default."""
_SAME: t.Final = re.compile(r"[1-4]xx|4[0-9]{2}|other|grpc|grpc ([1-9]|1[0-6])")


def groups_of(code: str) -> tuple[str, ...]:
    """Return the groups that a code belongs to, empty for errors and canceled requests.

    code: see `traffic.code_of`. The groups are a class, and for 4xx and gRPC also the code itself.
    """
    if code in (CANCELED, GRPC_UNKNOWN) or is_error(code):
        return ()
    if code.startswith(GRPC):
        return (GRPC_CLASS, code) if is_group(code) else (GRPC_CLASS,)
    if code == _NOT_MODIFIED:
        return (SUCCESS,)
    if not re.fullmatch("[1-4][0-9]{2}", code):
        return ("other",)
    return (f"{code[0]}xx", code) if code.startswith("4") else (f"{code[0]}xx",)


def is_group(name: str) -> bool:
    """Return whether there is a group of that name."""
    return _SAME.fullmatch(name) is not None


def class_of(group: str) -> str:
    """Return the class that a group is part of, the group itself if it is a class."""
    return group if group in _CLASS_SHARES else groups_of(group)[0]


def share_of_alpha(group: str) -> float:
    """Return the part of alpha for the tests of a group.

    All parts together are below 1, however many codes there are, so the probability that any group of equal versions
    differs is below alpha (Bonferroni, with fixed weights).
    """
    if group in _CLASS_SHARES:
        return _CLASS_SHARES[group]
    if group.startswith(GRPC):
        return _FAILURE_SHARE if group.removeprefix(GRPC) in grpc_statuses.FAILURES else _GRPC_SHARE
    return _USUAL_SHARE if group in _USUAL else _OTHER_SHARE


def count_groups(codes: Mapping[str, int]) -> dict[str, int]:
    """Return group -> answers. codes: code -> answers."""
    counts: dict[str, int] = {}
    for code, number in codes.items():
        for group in groups_of(code):
            counts[group] = counts.get(group, 0) + number
    return counts
