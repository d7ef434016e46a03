# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The network namespace of the lab: programs in it can neither change the machine's network nor reach it."""

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
    """Return the file that keeps the namespace alive; `ip netns list` reads the same directory."""
    return FOLDER / name


def exists(name: str) -> bool:
    """Return whether the file exists and holds a namespace: a killed `create` may have left an empty file."""
    return path(name).exists() and path(name).stat().st_dev != FOLDER.stat().st_dev


def create(name: str) -> None:
    """Create the namespace with an address and a default route, if it does not exist.

    Not with `ip netns add`: its first use mounts /run/netns on itself permanently. The default route goes to the other
    end of a veth pair inside: programs that need a default route find one, and no packet leaves the namespace.
    """
    if exists(name):
        return
    FOLDER.mkdir(exist_ok=True)
    path(name).touch()
    _run(["unshare", f"--net={path(name)}", "true"])
    for command in (
        "link set lo up",
        "link add lab0 type veth peer name lab1",
        "addr add 192.0.2.1/24 dev lab0",
        "link set lab0 up",
        "link set lab1 up",
        "route add default via 192.0.2.2",
    ):
        _run([*command_prefix(name), "ip", *command.split()])


def delete(name: str) -> None:
    """Delete the namespace with its devices, routes and rules."""
    if not path(name).exists():
        return
    subprocess.run(["umount", "--lazy", str(path(name))], capture_output=True, check=False)
    path(name).unlink()


def command_prefix(name: str) -> list[str]:
    """Return what to put before a command to run it in the namespace.

    Not `ip netns exec`: it mounts a new /sys, which hides the control groups from a container daemon.
    """
    return ["nsenter", f"--net={path(name)}"]


class SocketFactory:
    """Creates sockets in a network namespace for a process outside of it.

    A socket belongs to the namespace of the thread that created it, so one thread enters and creates them all.
    """

    def __init__(self, name: str) -> None:
        self._thread = concurrent.futures.ThreadPoolExecutor(1, initializer=_enter, initargs=(path(name),))

    def create(self) -> concurrent.futures.Future[socket.socket]:
        """Return a new non-blocking TCP socket of the namespace."""
        return self._thread.submit(_new_socket)


def _new_socket() -> socket.socket:
    created = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    created.setblocking(False)
    created.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return created


def _enter(namespace: pathlib.Path) -> None:
    """Move the calling thread into the namespace with setns; os.setns exists only since Python 3.12."""
    libc = ctypes.CDLL(None, use_errno=True)
    with namespace.open("rb") as handle:
        if libc.setns(handle.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter the network namespace {namespace}")


def _run(argv: t.Sequence[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"{' '.join(argv)} failed: {done.stderr.strip()}")
