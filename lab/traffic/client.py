# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send requests and count which version answered; prints one line of JSON.

Runs where the traffic has to start: inside a pod (through its sidecar) or on this machine (through the ingress
gateway). So it needs Python 3.8 and its standard library only, and is handed over as text: see `places.py`.

stdin: one line of JSON, the configuration (`Config`); the next line, or the end of stdin, ends the load early. A
process started through the Kubernetes API outlives its connection, so it also ends itself: after `limit` seconds it
sends nothing more, and a little later an alarm ends it whatever it is doing.
"""

from __future__ import annotations

import collections
import http.client
import json
import math
import os
import re
import signal
import socket
import sys
import threading
import time
import typing as t
import urllib.parse

# Bookinfo's reviews name their pod in the JSON answer, and the product page repeats it.
VERSION = re.compile(r"\breviews-(v\w+)-[a-z0-9]+-[a-z0-9]+\b")
# The colour of the stars, in the JSON answer and in the pages of this Bookinfo and of Istio's (old and new layout).
STARS = re.compile(r'"color": ?"(\w+)"|data-color="(\w+)"|gap-x-1 text-(\w+)-500|<font color="(\w+)"')
EXAMPLES_KEPT = 20
PAUSE_AFTER_LOST_CONNECTION = 0.05
GRACE_BEFORE_ALARM = 5


class Config(t.NamedTuple):
    """What to send. Exactly one of `requests` and `seconds` may be None; both given: whichever comes first."""

    url: str
    requests: int | None = None
    seconds: float | None = None
    rate: float | None = None  # requests a second over all connections; None: as fast as they go
    connections: int = 4
    headers: t.Mapping[str, str] = {}
    login: str = ""  # user name to sign in with at /login, as a browser does
    timeout: float = 15.0  # seconds for one answer
    limit: float = 120.0  # seconds after which nothing more is sent
    version: str = VERSION.pattern  # regular expression whose first group says who answered


class Tally:
    """What one connection has seen; `merge` makes one of several."""

    def __init__(self) -> None:
        self.counts: t.Counter[str] = collections.Counter()
        self.stars: t.Counter[str] = collections.Counter()
        self.reasons: t.Counter[str] = collections.Counter()
        self.examples: list[dict[str, t.Any]] = []
        self.latencies: list[float] = []
        self.seconds: dict[int, t.Counter[str]] = collections.defaultdict(collections.Counter)
        self.first_sent: dict[str, float] = {}
        self.last_sent: dict[str, float] = {}

    def answered(self, sent: float, took: float, version: str, stars: str) -> None:
        self.counts[version] += 1
        self.stars[stars] += 1
        self.latencies.append(took)
        self.seconds[int(sent)][version] += 1
        self.first_sent.setdefault(version, sent)
        self.last_sent[version] = sent

    def failed(self, sent: float, reason: str) -> None:
        self.reasons[reason] += 1
        self.seconds[int(sent)]["failed"] += 1
        if len(self.examples) < EXAMPLES_KEPT:
            self.examples.append({"at": sent, "reason": reason})

    def merge(self, other: Tally) -> None:
        self.counts += other.counts
        self.stars += other.stars
        self.reasons += other.reasons
        self.examples = sorted(self.examples + other.examples, key=lambda example: example["at"])[:EXAMPLES_KEPT]
        self.latencies += other.latencies
        for second, counts in other.seconds.items():
            self.seconds[second] += counts
        for version, sent in other.first_sent.items():
            self.first_sent[version] = min(sent, self.first_sent.get(version, sent))
        for version, sent in other.last_sent.items():
            self.last_sent[version] = max(sent, self.last_sent.get(version, sent))


class Turns:
    """Hands out the right to send: keeps the number, the pace and the end for all connections together."""

    def __init__(self, config: Config, stop: threading.Event) -> None:
        self._config, self._stop = config, stop
        self._lock = threading.Lock()
        self._given = 0
        self._start = time.monotonic()
        self._end = self._start + min(config.limit, config.seconds or config.limit)
        self.ended_by = "requests"

    def take(self) -> bool:
        """Wait for the next turn. False: there is none."""
        with self._lock:
            if self._config.requests is not None and self._given >= self._config.requests:
                return False
            number = self._given
            self._given += 1
        due = self._start + number / self._config.rate if self._config.rate else self._start
        pause = min(due, self._end) - time.monotonic()
        if self._stop.wait(pause) if pause > 0 else self._stop.is_set():
            self.ended_by = "stop"
            return False
        if time.monotonic() >= self._end:
            self.ended_by = "seconds" if self._config.seconds else "limit"
            return False
        return True


class Visitor:
    """One keep-alive connection, signed in if asked, and what it saw."""

    def __init__(self, config: Config, turns: Turns, stop: threading.Event) -> None:
        self.tally = Tally()
        self._config, self._turns, self._stop = config, turns, stop
        self._url = urllib.parse.urlsplit(config.url)
        self._path = self._url.path + ("?" + self._url.query if self._url.query else "")
        self._headers = dict(config.headers)
        self._version = re.compile(config.version)
        self._connection = self._open()

    def _open(self) -> http.client.HTTPConnection:
        host = self._url.hostname or "localhost"
        return http.client.HTTPConnection(host, self._url.port or 80, timeout=self._config.timeout)

    def visit(self) -> None:
        """Send until there are no more turns."""
        signed_in = not self._config.login
        while self._turns.take():
            sent, began = time.time(), time.perf_counter()
            try:
                if not signed_in:
                    self._sign_in()
                    signed_in = True
                    sent, began = time.time(), time.perf_counter()
                status, body = self._get()
            except (OSError, http.client.HTTPException) as problem:
                self.tally.failed(sent, reason_of(problem, self._config.timeout))
                self._connection.close()
                self._stop.wait(PAUSE_AFTER_LOST_CONNECTION)
                continue
            self._count(sent, time.perf_counter() - began, status, body)

    def _get(self) -> tuple[int, str]:
        self._connection.request("GET", self._path, headers=self._headers)
        response = self._connection.getresponse()
        return response.status, response.read().decode("utf-8", "replace")

    def _sign_in(self) -> None:
        form = urllib.parse.urlencode({"username": self._config.login, "passwd": "", "password": ""})
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Referer": self._config.url, **self._headers}
        self._connection.request("POST", "/login", body=form, headers=headers)
        response = self._connection.getresponse()
        response.read()
        cookies = [value.split(";", 1)[0] for value in response.headers.get_all("Set-Cookie", [])]
        if response.status >= 400 or not cookies:
            raise http.client.HTTPException(f"sign-in answered {response.status} without a cookie")
        self._headers["Cookie"] = "; ".join(cookies)

    def _count(self, sent: float, took: float, status: int, body: str) -> None:
        version = self._version.search(body)
        if status != 200:
            self.tally.failed(sent, f"status {status}: {' '.join(body.split())[:100]}")
        elif not version:
            self.tally.failed(sent, "status 200, but no version in the answer")
        else:
            stars = STARS.search(body)
            colour = next(filter(None, stars.groups())) if stars else "none"
            self.tally.answered(sent, took, version.group(1), colour)


def reason_of(problem: Exception, timeout: float) -> str:
    if isinstance(problem, socket.timeout):
        return f"no answer within {timeout:g} s"
    return f"{type(problem).__name__}: {problem}" if str(problem) else type(problem).__name__


def percentile(ordered: t.Sequence[float], share: float) -> float | None:
    """Return the nearest-rank percentile of sorted seconds, in milliseconds; None of nothing."""
    if not ordered:
        return None
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)] * 1000, 2)


def run(config: Config, stop: threading.Event) -> dict[str, t.Any]:
    """Send what `config` asks for and return the result as it is printed (see `places.Measurement`)."""
    turns = Turns(config, stop)
    visitors = [Visitor(config, turns, stop) for _number in range(config.connections)]
    threads = [threading.Thread(target=visitor.visit) for visitor in visitors]
    began = time.time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended = time.time()
    total = Tally()
    for visitor in visitors:
        total.merge(visitor.tally)
    ordered = sorted(total.latencies)
    failed = sum(total.reasons.values())
    return {
        "requests": len(ordered) + failed,
        "failed": failed,
        "counts": dict(sorted(total.counts.items())),
        "stars": dict(sorted(total.stars.items())),
        "reasons": dict(total.reasons.most_common()),
        "examples": total.examples,
        "latency_ms": {
            "p50": percentile(ordered, 0.50),
            "p90": percentile(ordered, 0.90),
            "p99": percentile(ordered, 0.99),
            "max": percentile(ordered, 1.0),
        },
        "timeline": [{"at": second, "counts": dict(total.seconds[second])} for second in sorted(total.seconds)],
        "first_sent": total.first_sent,
        "last_sent": total.last_sent,
        "began": began,
        "ended": ended,
        "ended_by": turns.ended_by,
    }


def watch_stdin(stop: threading.Event) -> None:
    # os.read and not sys.stdin: a thread that holds stdin's lock at exit would crash the interpreter.
    os.read(0, 1)
    stop.set()


def main() -> None:
    config = Config(**json.loads(sys.stdin.buffer.readline()))
    signal.alarm(math.ceil(config.limit + config.timeout) + GRACE_BEFORE_ALARM)
    stop = threading.Event()
    threading.Thread(target=watch_stdin, args=(stop,), daemon=True).start()
    print(json.dumps(run(config, stop)), flush=True)


if __name__ == "__main__":
    main()
