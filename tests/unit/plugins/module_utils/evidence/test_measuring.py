# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which callers are asked for their counters where there are many."""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.canary.plugins.module_utils.evidence import measuring
from ansible_collections.meshops.canary.plugins.module_utils.mesh import affected
from ansible_collections.meshops.canary.plugins.module_utils.mesh.proxies import Proxy
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from support.metered import SERVICE

if t.TYPE_CHECKING:
    import pytest


def test_gateways_are_read_beyond_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one gateway that has all the traffic once fell out of a sample of the namespace's idle sidecars."""
    sidecars = [Proxy("shop", f"pod-{number:02}") for number in range(60)]
    far, gateways = Proxy("far", "away"), [Proxy("istio-system", "in", True), Proxy("istio-system", "out", True)]
    found = affected.Affected(dict.fromkeys([far, *sidecars, *gateways]))  # type: ignore[arg-type]
    monkeypatch.setattr(affected, "find", lambda *_given: found)
    notes: list[str] = []
    given = {"istio_namespace": "istio-system", "proxy_sample": 50}
    chosen = measuring.callers(None, Snapshot(), SERVICE, given, notes)[1]  # type: ignore[arg-type]
    assert set(gateways) < set(chosen)
    assert far not in chosen
    assert len(chosen) == 50
    assert notes == ["Only 50 of 63 proxies were read (proxy_sample)."]
    least = measuring.callers(None, Snapshot(), SERVICE, {**given, "proxy_sample": 1}, [])[1]  # type: ignore[arg-type]
    assert len(least) == 3, "the gateways and one sidecar"
