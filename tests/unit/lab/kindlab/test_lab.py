# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The handle of a cluster: its name and its reserved ports."""

from __future__ import annotations

import pytest

from lab.kindlab.errors import LabError
from lab.kindlab.lab import Lab


def test_two_clusters_never_share_a_port() -> None:
    one, other = Lab("one"), Lab("other")
    one.claim_ports()
    other.claim_ports()
    first_claim = one.ports
    one.claim_ports()
    assert one.ports == first_claim == Lab("one").ports
    assert not set(one.ports.values()) & set(other.ports.values())


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "a" * 31, "../x"])
def test_invalid_cluster_name_is_rejected(name: str) -> None:
    with pytest.raises(LabError, match="is not a valid cluster name"):
        Lab(name)
