# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A network namespace of the lab's own: what runs in it cannot touch the machine's network, nor leave it."""

from __future__ import annotations

import concurrent.futures
import ctypes
import pathlib
import socket
import subprocess
import typing as t

from .errors import LabError

FOLDER = pathlib.Path("/run/netns")
_CLONE_NEWNET = 0x40000000


def path(name: str) -> pathlib.Path:
    """The file that keeps the namespace alive, where `ip netns list` looks too."""
    return FOLDER / name


def exists(name: str) -> bool:
    """Whether the file is there and holds a namespace: a killed `create` may have left an empty file."""
    return path(name).exists() and path(name).stat().st_dev != FOLDER.stat().st_dev


def create(name: str) -> None:
    """Make the namespace with an address and a default route, if it is not there.

    Not by `ip netns add`: its first use mounts /run/netns on itself for good. The route leads to the other end of a
    pair of devices inside: programs that ask for a default route find one, and no packet leaves.
    """
    if exists(name):
        return
    FOLDER.mkdir(exist_ok=True)
    path(name).touch()
    _must(["unshare", f"--net={path(name)}", "true"])
    for command in (
        "link set lo up",
        "link add lab0 type veth peer name lab1",
        "addr add 192.0.2.1/24 dev lab0",
        "link set lab0 up",
        "link set lab1 up",
        "route add default via 192.0.2.2",
    ):
        _must([*inside(name), "ip", *command.split()])


def delete(name: str) -> None:
    """Take the namespace away; its devices, routes and rules go with it."""
    if not path(name).exists():
        return
    subprocess.run(["umount", "--lazy", str(path(name))], capture_output=True, check=False)
    path(name).unlink()


def inside(name: str) -> list[str]:
    """What to put before a command to run it in the namespace.

    Not `ip netns exec`: that mounts a fresh /sys, which hides the control groups from a container daemon.
    """
    return ["nsenter", f"--net={path(name)}"]


class Connector:
    """Makes connections from inside a namespace while the process stays outside.

    A socket belongs to the namespace of the thread that made it, so one thread enters and makes them all.
    """

    def __init__(self, name: str) -> None:
        self._thread = concurrent.futures.ThreadPoolExecutor(1, initializer=_enter, initargs=(path(name),))

    def socket(self) -> concurrent.futures.Future[socket.socket]:
        """A new TCP socket of the namespace, not blocking."""
        return self._thread.submit(_new_socket)


def _new_socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setblocking(False)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def _enter(namespace: pathlib.Path) -> None:
    """setns for the calling thread alone; os.setns came with Python 3.12 only."""
    libc = ctypes.CDLL(None, use_errno=True)
    with namespace.open("rb") as handle:
        if libc.setns(handle.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter the network namespace {namespace}")


def _must(argv: t.Sequence[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"{' '.join(argv)} failed: {done.stderr.strip()}")
