# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of a private containerd."""

from __future__ import annotations

import os
import typing as t

if t.TYPE_CHECKING:
    import pathlib


def settings(root: pathlib.Path, state: pathlib.Path, socket: pathlib.Path) -> str:
    """Return the configuration file of a containerd without CRI whose sockets belong to the current user."""
    owner = f"uid = {os.geteuid()}\ngid = {os.getegid()}\n"
    return (
        f'version = 2\nroot = "{root}"\nstate = "{state}"\noom_score = 0\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]\n'
        f'[grpc]\naddress = "{socket}"\n{owner}[ttrpc]\naddress = "{socket}.ttrpc"\n{owner}'
    )
