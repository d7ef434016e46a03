# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One command in a container, through the API server's exec, with the same websocket as port-forward.

In the channel protocol (`v4.channel.k8s.io`) each frame begins with a channel byte: 1 is stdout, 2 stderr, and 3
carries the end as a Status. The process outlives the connection, so a command needs a time limit of its own.
"""

from __future__ import annotations

import typing as t

from ..objects import json_text
from .port_forward import connect

try:
    import websocket

    CLOSED_ERROR: type[Exception] = websocket.WebSocketConnectionClosedException
except ImportError:  # it comes with the kubernetes library, whose absence is reported for both
    CLOSED_ERROR = ConnectionError

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from kubernetes.client import Configuration

_STDOUT, _STDERR, _STATUS = 1, 2, 3


class CommandFailedError(Exception):
    """The command did not run, or ended with another status than 0."""


def run(configuration: Configuration, url: str, headers: Sequence[tuple[str, str]], *, timeout: float) -> str:
    """Return what the command printed. url: the API server's `.../pods/NAME/exec?command=...`.

    timeout: seconds for each wait on the socket. Raises CommandFailedError, ForwardRefusedError, or what the
    websocket library and the socket raise.
    """
    connection = connect(configuration, url, headers, timeout)
    said: dict[int, list[bytes]] = {_STDOUT: [], _STDERR: [], _STATUS: []}
    try:
        while True:
            opcode, data = connection.recv_data()
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                break
            if data:
                said.setdefault(data[0], []).append(bytes(data[1:]))
    except CLOSED_ERROR:
        pass  # the end of the stream, also without a closing frame
    finally:
        connection.shutdown()
    _check(b"".join(said[_STATUS]), b"".join(said[_STDERR]))
    return b"".join(said[_STDOUT]).decode(errors="replace")


def _check(status: bytes, stderr: bytes) -> None:
    try:
        ended = json_text.parse_mapping(status)
    except ValueError:
        raise CommandFailedError("the connection ended before the command did") from None
    if ended.get("status") != "Success":
        said = stderr.decode(errors="replace").strip()[-300:]
        raise CommandFailedError(f"{ended.get('message')}{f': {said}' if said else ''}")
