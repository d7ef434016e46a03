# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Forward TCP ports of the machine's loopback to the same ports of the loopback in a network namespace.

Run as `python3 -m kindlab.forwarder NAMESPACE PORT...`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import sys

from . import netns

LOOPBACK = "127.0.0.1"


async def forward(namespace: str, ports: list[int]) -> None:
    """Listen on `ports` until the process is stopped."""
    sockets = netns.SocketFactory(namespace)
    servers = [await asyncio.start_server(functools.partial(_serve, sockets, port), LOOPBACK, port) for port in ports]
    await asyncio.gather(*(server.serve_forever() for server in servers))


async def _serve(
    sockets: netns.SocketFactory, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Copy the data of one connection in both directions until both sides have closed."""
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        inner = await asyncio.wrap_future(sockets.create())
        await asyncio.get_running_loop().sock_connect(inner, (LOOPBACK, port))
        inner_reader, inner_writer = await asyncio.open_connection(sock=inner)
    except OSError:
        writer.close()
        return
    await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
    for end in (writer, inner_writer):
        end.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()


if __name__ == "__main__":
    asyncio.run(forward(sys.argv[1], [int(port) for port in sys.argv[2:]]))
