# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Texts from the cluster without control codes."""

from __future__ import annotations

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.objects.plain_text import plain, plain_text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("v1 90 %\n\tv2 10 %", "v1 90 %\n\tv2 10 %"),
        ("\x1b]0;title\x07", "\ufffd]0;title\ufffd"),
        ("\x1b]52;c;cm0gLXJm\x1b\\", "\ufffd]52;c;cm0gLXJm\ufffd\\"),
        ("failed\r\x1b[2KOK", "failed\ufffd\ufffd[2KOK"),
        ("\x9b2J\x7f\x85", "\ufffd2J\ufffd\ufffd"),
        ("abc\u202edef\u2066", "abc\ufffddef\ufffd"),
        ("Größe, 大, 🙂", "Größe, 大, 🙂"),
    ],
    ids=["newline", "title", "clipboard", "erased", "C1", "direction", "languages"],
)
def test_what_a_terminal_would_obey_is_replaced(text: str, wanted: str) -> None:
    assert plain_text(text) == wanted


def test_every_text_of_a_value_is_plain_and_objects_stay_as_they_are() -> None:
    value = {"msg": ["\x1b[1m", {"\x07key": "\x00"}], "number": 1, "none": None, "patch": [{"value": "\x1b"}]}
    assert plain(value, unchanged={"patch"}) == {
        "msg": ["\ufffd[1m", {"\ufffdkey": "\ufffd"}],
        "number": 1,
        "none": None,
        "patch": [{"value": "\x1b"}],
    }
