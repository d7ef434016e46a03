# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Headers that users write in YAML, and dates that servers send. What is odd is generated in tests/property."""

from __future__ import annotations

import datetime
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.objects import headers


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (None, {}),
        ({"X-Scope-OrgID": "shop"}, {"X-Scope-OrgID": "shop"}),
        ({1: 2}, {"1": "2"}),
        ({"X": 1.5, "Y": True}, {"X": "1.5", "Y": "True"}),
        ({"X": " a "}, {"X": "a"}),
        ({"X": "\u00fc"}, {"X": "\u00fc"}),
    ],
)
def test_numbers_become_text(given: dict[t.Any, t.Any] | None, sent: dict[str, str]) -> None:
    assert headers.checked_headers("headers", given) == sent


@pytest.mark.parametrize("name", ["", "a b", "a:", "\u00fc", "X\n"])
def test_a_name_that_no_header_has_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"headers: .* is not the name of a header"):
        headers.checked_headers("headers", {name: "x"})


@pytest.mark.parametrize("value", ["a\nb", "a\r", "\0", "\x7f", "\u20ac", [], {}, None])
def test_a_value_that_no_header_has_is_refused(value: t.Any) -> None:
    with pytest.raises(InvalidInput, match=r"headers: .*the header X"):
        headers.checked_headers("headers", {"X": value})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Tue, 01 Dec 2026 04:00:00 GMT", (2026, 12, 1, 4)),
        ("Tue, 01 Dec 2026 04:00:00 -0000", (2026, 12, 1, 4)),
        ("Tue, 01 Dec 2026 04:00:00 +0200", (2026, 12, 1, 2)),
        ("Tuesday, 01-Dec-26 04:00:00 GMT", (2026, 12, 1, 4)),  # RFC 850
        ("Tue Dec  1 04:00:00 2026", (2026, 12, 1, 4)),  # asctime
        ("yesterday", None),
        ("", None),
        (None, None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None),
    ],
)
def test_a_date_is_a_time_or_nothing(text: str | None, found: tuple[int, int, int, int] | None) -> None:
    expected = datetime.datetime(*found, tzinfo=datetime.timezone.utc) if found else None
    assert headers.parse_date(text) == expected
