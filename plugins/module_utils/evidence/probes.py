# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test requests that reveal which version answers: from a pod, by a command, or from where the task runs."""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass, field

from ..errors import ApiError, InvalidInput
from ..mesh.proxies import in_parallel
from ..objects.headers import checked_headers
from ..objects.linear_regex import Expression, InvalidExpression, Undecided, compiled

try:
    import urllib3

    HTTP_ERROR: type[Exception] = urllib3.exceptions.HTTPError
except ImportError:  # installed with the kubernetes library, whose absence is reported elsewhere
    HTTP_ERROR = OSError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..kube.client import Cluster

MAX_PROBES: t.Final = 20_000
BATCH: t.Final = 8
MAX_TIMEOUT: t.Final = 3600.0

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
    """counts: version -> probes it answered. failed: probes whose answer names no version; examples: why."""

    counts: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    examples: list[str] = field(default_factory=list)


def send(cluster: Cluster, namespace: str, probes: Mapping[str, t.Any], number: int) -> Answers:
    """Send `number` probes, a few at a time, and count the answers by version. Raises InvalidInput."""
    if not 1 <= number <= MAX_PROBES:
        raise InvalidInput(f"probes.requests must be from 1 to {MAX_PROBES}, not {number}.")
    if not 0 < probes["timeout"] <= MAX_TIMEOUT:
        raise InvalidInput(f"probes.timeout must be above 0 and at most {MAX_TIMEOUT:g}, not {probes['timeout']:g}.")
    pattern = _compiled(probes["pattern"])
    send_one = http_probe(probes) if probes["url"] else _pod_probe(cluster, namespace, probes)
    answers = Answers()
    for _index, text in in_parallel(lambda _index: send_one(), range(number)):
        version, why = (None, text.msg) if isinstance(text, ApiError) else _version(pattern, text)
        if version is not None:
            answers.counts[version] += 1
            continue
        answers.failed += 1
        if len(answers.examples) < 3:
            answers.examples.append(why)
    return answers


def _version(pattern: Expression, text: str) -> tuple[str | None, str]:
    """Return the version that an answer names, None without one; and why it has none."""
    try:
        found = pattern.find_groups(text)
    except Undecided as error:
        return None, f"it cannot be decided whether {pattern.pattern!r} is in {text[:200]!r}: {error}"
    return (found[1] if found else None), f"no {pattern.pattern!r} in {text[:200]!r}"


def _compiled(pattern: str) -> Expression:
    expression = expression_of("probes.pattern", pattern)
    if expression.groups < 1:
        raise InvalidInput(f"probes.pattern: {pattern!r} has no group for the version, as (v[0-9]+) would be.")
    return expression


def expression_of(option: str, pattern: str) -> Expression:
    """Return the regular expression of an option. Raises InvalidInput."""
    try:
        return compiled(pattern)
    except (InvalidExpression, Undecided) as error:
        raise InvalidInput(
            f"{option}: {pattern!r} is not a regular expression that can be used here, in the syntax of RE2: {error}."
        ) from error


def http_probe(probes: Mapping[str, t.Any], option: str = "probes") -> Callable[[], str]:
    """Return a function that sends one GET and returns status, headers and body as one text.

    option: its name, for messages. Raises InvalidInput for headers that cannot be sent.
    """
    options: dict[str, t.Any] = {}
    if not probes["validate_certs"]:
        options["cert_reqs"] = "CERT_NONE"
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    pool = urllib3.PoolManager(maxsize=BATCH, retries=False, **options)
    headers = checked_headers(f"{option}.headers", probes["headers"])

    def send_one() -> str:
        try:
            answer = pool.request("GET", probes["url"], headers=headers, timeout=probes["timeout"], redirect=False)
        except (HTTP_ERROR, OSError) as error:
            raise ApiError(f"{probes['url']} did not answer: {error}") from error
        lines = [f"{name}: {value}" for name, value in answer.headers.items()]
        return "\n".join([str(answer.status), *lines, "", answer.data.decode(errors="replace")])

    return send_one


def _pod_probe(cluster: Cluster, namespace: str, probes: Mapping[str, t.Any]) -> Callable[[], str]:
    """Return a function that runs the command once in the pod and returns what it printed."""

    def send_one() -> str:
        return cluster.execute(
            namespace, probes["pod"], probes["command"], container=probes["container"] or "", timeout=probes["timeout"]
        )

    return send_one
