# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes the checkout importable as the collection it is, wherever it was cloned to."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@functools.cache
def tree() -> Path:
    """A folder for ANSIBLE_COLLECTIONS_PATH in which meshops.canary is a link to the checkout."""
    path = Path(tempfile.mkdtemp(prefix="meshops-canary-tree-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)  # removes the link, not what it points to
    (path / "ansible_collections" / "meshops").mkdir(parents=True)
    (path / "ansible_collections" / "meshops" / "canary").symlink_to(ROOT)
    return path


def install_loader() -> None:
    """Import `ansible_collections.*` as ansible-playbook does: the checkout, then what is beside Ansible."""
    from ansible.utils.collection_loader import AnsibleCollectionConfig
    from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

    if AnsibleCollectionConfig.collection_finder is None:
        _AnsibleCollectionFinder(paths=[str(tree())])._install()
