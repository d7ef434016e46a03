# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The load generator: send requests, count which version answered, print one line of JSON.

It runs in a pod (through its sidecar) or on this machine (through the ingress gateway). Therefore it needs only Python
3.8 with the standard library, and `clients.py` sends its source over stdin.

stdin: one line of JSON, the configuration (`Config`); the next line, or the end of stdin, stops the load early. A
process that was started through the Kubernetes API outlives its connection, so it stops itself too: after `limit`
seconds it sends no more requests, and some seconds later an alarm kills it in any state.
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

# Bookinfo's reviews service returns its pod name in JSON, and the product page shows it.
VERSION = re.compile(r"\breviews-(v\w+)-[a-z0-9]+-[a-z0-9]+\b")
# The color of the stars: in the JSON answer, and on the pages of the lab's and of Istio's Bookinfo (both layouts).
STARS = re.compile(r'"color": ?"(\w+)"|data-color="(\w+)"|gap-x-1 text-(\w+)-500|<font color="(\w+)"')
MAX_EXAMPLES = 20
RECONNECT_SECONDS = 0.05
ALARM_GRACE_SECONDS = 5


class Config(t.NamedTuple):
    """What to send. One of `requests` and `seconds` may be None; with both, the first limit reached ends the load."""

    url: str
    requests: int | None = None
    seconds: float | None = None
    rate: float | None = None  # requests per second over all connections; None: as fast as possible
    connections: int = 4
    headers: t.Mapping[str, str] = {}
    login: str = ""  # user name for the form at /login
    timeout: float = 15.0  # seconds for one answer
    limit: float = 120.0  # seconds after which no more requests are sent
    version: str = VERSION.pattern  # regular expression; its first group is the version in the answer


class Results:
    """The results of one worker; `merge` adds those of another."""

    def __init__(self) -> None:
        self.counts: t.Counter[str] = collections.Counter()
        self.stars: t.Counter[str] = collections.Counter()
        self.reasons: t.Counter[str] = collections.Counter()
        self.examples: list[dict[str, t.Any]] = []
        self.latencies: list[float] = []
        self.seconds: dict[int, t.Counter[str]] = collections.defaultdict(collections.Counter)
        self.first_sent: dict[str, float] = {}
        self.last_sent: dict[str, float] = {}

    def record_answer(self, sent: float, took: float, version: str, stars: str) -> None:
        self.counts[version] += 1
        self.stars[stars] += 1
        self.latencies.append(took)
        self.seconds[int(sent)][version] += 1
        self.first_sent.setdefault(version, sent)
        self.last_sent[version] = sent

    def record_failure(self, sent: float, reason: str) -> None:
        self.reasons[reason] += 1
        self.seconds[int(sent)]["failed"] += 1
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append({"at": sent, "reason": reason})

    def merge(self, other: Results) -> None:
        self.counts += other.counts
        self.stars += other.stars
        self.reasons += other.reasons
        self.examples = sorted(self.examples + other.examples, key=lambda example: example["at"])[:MAX_EXAMPLES]
        self.latencies += other.latencies
        for second, counts in other.seconds.items():
            self.seconds[second] += counts
        for version, sent in other.first_sent.items():
            self.first_sent[version] = min(sent, self.first_sent.get(version, sent))
        for version, sent in other.last_sent.items():
            self.last_sent[version] = max(sent, self.last_sent.get(version, sent))


class Schedule:
    """The number, the rate and the end of the requests, for all workers together."""

    def __init__(self, config: Config, stop: threading.Event) -> None:
        self._config, self._stop = config, stop
        self._lock = threading.Lock()
        self._started = 0
        self._start = time.monotonic()
        self._end = self._start + min(config.limit, config.seconds or config.limit)
        self.ended_by = "requests"

    def wait_for_next(self) -> bool:
        """Wait until the next request is due; return False if there is none."""
        with self._lock:
            if self._config.requests is not None and self._started >= self._config.requests:
                return False
            number = self._started
            self._started += 1
        due = self._start + number / self._config.rate if self._config.rate else self._start
        pause = min(due, self._end) - time.monotonic()
        if self._stop.wait(pause) if pause > 0 else self._stop.is_set():
            self.ended_by = "stop"
            return False
        if time.monotonic() >= self._end:
            self.ended_by = "seconds" if self._config.seconds else "limit"
            return False
        return True


class Worker:
    """Sends requests over one keep-alive connection, signed in if configured."""

    def __init__(self, config: Config, schedule: Schedule, stop: threading.Event) -> None:
        self.results = Results()
        self._config, self._schedule, self._stop = config, schedule, stop
        self._url = urllib.parse.urlsplit(config.url)
        self._path = self._url.path + ("?" + self._url.query if self._url.query else "")
        self._headers = dict(config.headers)
        self._version = re.compile(config.version)
        self._connection = self._open()

    def _open(self) -> http.client.HTTPConnection:
        host = self._url.hostname or "localhost"
        return http.client.HTTPConnection(host, self._url.port or 80, timeout=self._config.timeout)

    def run(self) -> None:
        """Send requests until the schedule ends."""
        signed_in = not self._config.login
        while self._schedule.wait_for_next():
            sent, began = time.time(), time.perf_counter()
            try:
                if not signed_in:
                    self._sign_in()
                    signed_in = True
                    sent, began = time.time(), time.perf_counter()
                status, body = self._get()
            except (OSError, http.client.HTTPException) as error:
                self.results.record_failure(sent, reason_of(error, self._config.timeout))
                self._connection.close()
                self._stop.wait(RECONNECT_SECONDS)
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
            self.results.record_failure(sent, f"status {status}: {' '.join(body.split())[:100]}")
        elif not version:
            self.results.record_failure(sent, "status 200, but no version in the answer")
        else:
            stars = STARS.search(body)
            color = next(filter(None, stars.groups())) if stars else "none"
            self.results.record_answer(sent, took, version.group(1), color)


def reason_of(error: Exception, timeout: float) -> str:
    if isinstance(error, socket.timeout):
        return f"no answer within {timeout:g} s"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def percentile(ordered: t.Sequence[float], share: float) -> float | None:
    """Return the nearest-rank percentile of sorted seconds, in milliseconds; None without values."""
    if not ordered:
        return None
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)] * 1000, 2)


def run(config: Config, stop: threading.Event) -> dict[str, t.Any]:
    """Send the requests of `config` and return the fields of `measurement.Measurement`."""
    schedule = Schedule(config, stop)
    workers = [Worker(config, schedule, stop) for _number in range(config.connections)]
    threads = [threading.Thread(target=worker.run) for worker in workers]
    began = time.time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended = time.time()
    total = Results()
    for worker in workers:
        total.merge(worker.results)
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
        "ended_by": schedule.ended_by,
    }


def stop_on_input(stop: threading.Event) -> None:
    # os.read instead of sys.stdin: a thread that holds the lock of stdin at exit would crash the interpreter.
    os.read(0, 1)
    stop.set()


def main() -> None:
    config = Config(**json.loads(sys.stdin.buffer.readline()))
    signal.alarm(math.ceil(config.limit + config.timeout) + ALARM_GRACE_SECONDS)
    stop = threading.Event()
    threading.Thread(target=stop_on_input, args=(stop,), daemon=True).start()
    print(json.dumps(run(config, stop)), flush=True)


if __name__ == "__main__":
    main()
