# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests of our own, to see who answers them: from a pod, by a command run there, or from where the task runs."""

from __future__ import annotations

import re
import typing as t
from collections import Counter
from dataclasses import dataclass, field

from ..errors import ApiError, InvalidInput
from ..proxies import in_parallel

try:
    import urllib3

    HTTP_ERROR: type[Exception] = urllib3.exceptions.HTTPError
except ImportError:  # it comes with the kubernetes library, whose absence is reported for both
    HTTP_ERROR = OSError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..cluster import Cluster

MOST: t.Final = 20_000
BATCH: t.Final = 8

OPTIONS: t.Final[dict[str, dict[str, t.Any]]] = {
    "url": {"type": "str"},
    "headers": {"type": "dict", "default": {}},
    "validate_certs": {"type": "bool", "default": True},
    "pod": {"type": "str"},
    "container": {"type": "str"},
    "command": {"type": "list", "elements": "str"},
    "pattern": {"type": "str", "required": True},
    "requests": {"type": "int"},
    "timeout": {"type": "float", "default": 5.0},
}


@dataclass
class Answers:
    """counts: version -> probes it answered. failed: probes without an answer that names a version; examples of why."""

    counts: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    examples: list[str] = field(default_factory=list)


def send(cluster: Cluster, namespace: str, probes: Mapping[str, t.Any], number: int) -> Answers:
    """Send `number` probes, a few at a time, and return who answered. Raises InvalidInput for what cannot work."""
    if not 1 <= number <= MOST:
        raise InvalidInput(f"probes.requests must be from 1 to {MOST}, not {number}.")
    pattern = _compiled(probes["pattern"])
    once = from_here(probes) if probes["url"] else _from_pod(cluster, namespace, probes)
    answers = Answers()
    for _index, text in in_parallel(lambda _index: once(), range(number)):
        found = None if isinstance(text, ApiError) else pattern.search(text)
        if found:
            answers.counts[found[1]] += 1
            continue
        answers.failed += 1
        if len(answers.examples) < 3:
            answers.examples.append(
                text.msg if isinstance(text, ApiError) else f"no {pattern.pattern!r} in {text[:200]!r}"
            )
    return answers


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InvalidInput(f"probes.pattern: {pattern!r} is not a regular expression: {error}.") from error
    if compiled.groups < 1:
        raise InvalidInput(f"probes.pattern: {pattern!r} has no group for the version, as (v[0-9]+) would be.")
    return compiled


def from_here(probes: Mapping[str, t.Any]) -> Callable[[], str]:
    """Return a function that sends one GET and returns status, headers and body as one text."""
    options: dict[str, t.Any] = {}
    if not probes["validate_certs"]:
        options["cert_reqs"] = "CERT_NONE"
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    pool = urllib3.PoolManager(maxsize=BATCH, retries=False, **options)
    headers = {str(name): str(value) for name, value in probes["headers"].items()}

    def once() -> str:
        try:
            answer = pool.request("GET", probes["url"], headers=headers, timeout=probes["timeout"], redirect=False)
        except (HTTP_ERROR, OSError) as error:
            raise ApiError(f"{probes['url']} gave no answer: {error}") from error
        lines = [f"{name}: {value}" for name, value in answer.headers.items()]
        return "\n".join([str(answer.status), *lines, "", answer.data.decode(errors="replace")])

    return once


def _from_pod(cluster: Cluster, namespace: str, probes: Mapping[str, t.Any]) -> Callable[[], str]:
    """Return a function that runs the command once in the pod and returns what it printed."""

    def once() -> str:
        return cluster.execute(
            namespace, probes["pod"], probes["command"], container=probes["container"] or "", timeout=probes["timeout"]
        )

    return once
