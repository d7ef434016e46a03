# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tunnels that stay open. The websocket is a script here; tests/api/test_connection.py has a real one."""

from __future__ import annotations

import threading
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.kube import port_forward

URL = "https://api/pods/a/portforward?ports=1"
PORT = b"\x00\x01\x00"
CLOSE = (8, b"")


def answer(body: bytes, *headers: bytes, length: int | None = None) -> tuple[int, bytes]:
    size = b"Content-Length: %d" % (len(body) if length is None else length)
    return 2, b"\x00" + b"\r\n".join([b"HTTP/1.1 200 OK", size, *headers, b"", body])


class Socket:
    """A websocket to a pod: hands out its frames, then says that it was closed."""

    def __init__(self, *frames: tuple[int, bytes]) -> None:
        self.frames = [(2, PORT), *frames]
        self.sent: list[bytes] = []
        self.closed = False
        self.waits: threading.Barrier | None = None

    def send_binary(self, data: bytes) -> None:
        self.sent.append(data)

    def recv_data(self) -> tuple[int, bytes]:
        if self.waits:
            self.waits.wait(timeout=10)
        return self.frames.pop(0) if self.frames else CLOSE

    def shutdown(self) -> None:
        self.closed = True


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch) -> list[Socket]:
    """Those that will be opened, in order; what is left over was not opened."""
    coming: list[Socket] = []
    monkeypatch.setattr(port_forward, "connect", lambda *_args: coming.pop(0))
    return coming


@pytest.fixture
def tunnels() -> port_forward.Tunnels:
    return port_forward.Tunnels(t.cast("t.Any", None))


def get(tunnels: port_forward.Tunnels, url: str = URL) -> bytes:
    return tunnels.get(url, [], "/config_dump", timeout=1)[1]


def test_one_tunnel_answers_one_question_after_another(sockets: list[Socket]) -> None:
    tunnels = port_forward.Tunnels(t.cast("t.Any", None))
    one = Socket(answer(b"first"), answer(b"second"))
    sockets += [one]
    assert [get(tunnels), get(tunnels)] == [b"first", b"second"]
    assert len(one.sent) == 2
    assert not one.closed
    del tunnels
    assert one.closed, "with its owner it ends"


def test_each_port_of_each_pod_has_its_own(tunnels: port_forward.Tunnels, sockets: list[Socket]) -> None:
    sockets += [Socket(answer(b"a")), Socket(answer(b"b"))]
    assert [get(tunnels), get(tunnels, URL + "5")] == [b"a", b"b"]


@pytest.mark.parametrize(
    "last",
    [[], [(2, b"\x01" + PORT[1:]), (2, b"\x01lost connection to pod")], [(2, b"\x00not HTTP\r\n\r\n")]],
    ids=["closed", "error", "nonsense"],
)
def test_a_tunnel_that_has_died_meanwhile_is_opened_anew(
    tunnels: port_forward.Tunnels, sockets: list[Socket], last: list[tuple[int, bytes]]
) -> None:
    dead, fresh = Socket(answer(b"first"), *last), Socket(answer(b"second"))
    sockets += [dead, fresh]
    assert [get(tunnels), get(tunnels)] == [b"first", b"second"]
    assert dead.closed
    assert not fresh.closed


def test_a_new_tunnel_without_an_answer_is_an_error_and_closed(
    tunnels: port_forward.Tunnels, sockets: list[Socket]
) -> None:
    mute = Socket()
    sockets += [mute]
    with pytest.raises(port_forward.ForwardBrokenError, match="no HTTP answer"):
        get(tunnels)
    assert mute.closed


def test_half_an_answer_is_none(tunnels: port_forward.Tunnels, sockets: list[Socket]) -> None:
    broken = Socket(answer(b"half", length=9))
    sockets += [broken]
    with pytest.raises(port_forward.ForwardBrokenError, match="IncompleteRead"):
        get(tunnels)
    assert broken.closed


def test_a_server_that_closes_is_believed(tunnels: port_forward.Tunnels, sockets: list[Socket]) -> None:
    once = Socket(answer(b"first", b"Connection: close"))
    sockets += [once, Socket(answer(b"second"))]
    assert [get(tunnels), get(tunnels)] == [b"first", b"second"]
    assert once.closed


def test_two_threads_never_share_one(tunnels: port_forward.Tunnels, sockets: list[Socket]) -> None:
    both = threading.Barrier(2)
    pair = [Socket(answer(b"x")), Socket(answer(b"x"))]
    sockets += pair
    for one in pair:
        one.waits = both
    threads = [threading.Thread(target=get, args=(tunnels,)) for _socket in pair]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert sorted(len(one.sent) for one in pair) == [1, 1]
    assert sorted(one.closed for one in pair) == [False, True], "one is kept"


def test_only_so_many_stay_open(
    tunnels: port_forward.Tunnels, sockets: list[Socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(port_forward, "KEPT", 2)
    opened = [Socket(answer(b"x")) for _number in range(4)]
    sockets += opened
    for number in range(4):
        get(tunnels, f"{URL}{number}")
    assert [one.closed for one in opened] == [False, False, True, True]
