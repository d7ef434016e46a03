# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every test may ask for. Unit and property tests need nothing but the import of the collection."""

from __future__ import annotations

import re
import secrets
import typing as t

import pytest
from support import collection
from support.kube import Kube
from support.lab import Lab
from support.play import Player

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

collection.install_loader()


@pytest.fixture(scope="session")
def lab() -> Lab:
    """The running lab. A missing one is a failure that says how to start it, never a skip."""
    return Lab.running()


@pytest.fixture(scope="session")
def kube(lab: Lab) -> Kube:
    """The tests' own client, apart from the collection's, so that neither can hide the other's mistakes."""
    return Kube(lab.kubeconfig)


@pytest.fixture
def namespace(kube: Kube, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own, with sidecar injection; its removal is not waited for."""
    stem = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower()).strip("-")
    name = f"{stem[:50].rstrip('-')}-{secrets.token_hex(3)}"
    kube.create_namespace(name, labels={"istio-injection": "enabled"})
    yield name
    kube.delete_namespace(name)


@pytest.fixture
def play(lab: Lab, tmp_path: Path) -> Player:
    """Runs playbooks against the lab as a user would: see `Player.__call__`."""
    return Player(tmp_path, kubeconfig=lab.kubeconfig)


@pytest.fixture
def play_offline(tmp_path: Path) -> Player:
    """The same without a cluster: for filters, argument errors and documentation."""
    return Player(tmp_path, kubeconfig=None)
