# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of canary_routing that YAML reads otherwise than they look."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.commands.routing import number_warnings


@pytest.mark.parametrize(
    ("versions", "warned"),
    [
        ({"v1": {"version": 1.1}}, 1),
        ({"v1": {"version": 1.1}, "v2": {"version": 1.2}}, 2),
        ({"v1": {"version": "1.10"}}, 0),
        ({"v1": {"version": 2}}, 0),
        ({"v1": None}, 0),
        (["v1", "v2"], 0),
        (None, 0),
    ],
)
def test_a_label_that_is_a_number_with_a_point_warns(versions: t.Any, warned: int) -> None:
    found = number_warnings(versions)
    assert len(found) == warned
    assert all("Write it in quotes." in one for one in found)
