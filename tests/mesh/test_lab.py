# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab itself: what a killed `up` leaves can be used, and what `down` leaves is nothing."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time
import typing as t

import pytest

if t.TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.mesh, pytest.mark.alone]

CLUSTER = pathlib.Path(__file__).resolve().parents[2] / "lab" / "cluster"
NAME = "leaves-nothing"
# A private Docker daemon apart from the one of the lab that the other tests share.
ENVIRONMENT = {**os.environ, "CANARY_LAB_INSTANCE": "canary-lab-of-test"}
CREATING = "Create the Kubernetes cluster"


def lab(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(CLUSTER), *words], env=ENVIRONMENT, capture_output=True, text=True, timeout=240, check=False
    )


@pytest.fixture
def taken_down() -> Iterator[None]:
    lab("down", NAME)
    yield
    lab("down", NAME)


def traces() -> set[str]:
    """What a container daemon and its clusters can leave on a machine, a line each."""
    commands = {
        "namespace": ["ip", "netns", "list"],
        "route": ["ip", "route", "show", "table", "all"],
        "device": ["ip", "-brief", "link"],
        "rule": ["iptables-save"],
        "container": ["docker", "ps", "--all", "--quiet"],
        "network": ["docker", "network", "ls", "--quiet"],
        "process": ["ps", "-eo", "pid,stat,args"],
    }
    found = {f"mount {line}" for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()}
    found |= {f"control group {path}" for path in pathlib.Path("/sys/fs/cgroup").glob("*/*") if path.is_dir()}
    found |= {f"run {path}" for path in pathlib.Path("/run").iterdir()}
    for kind, argv in commands.items():
        if shutil.which(argv[0]):
            lines = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines()
            found |= {f"{kind} {line.split('[')[0]}" for line in lines if is_a_trace(kind, line)}
    return found


def is_a_trace(kind: str, line: str) -> bool:
    """Leaves out what other tests and programs change meanwhile: any process but ours, and comments with the time."""
    if kind == "process":
        ours = ENVIRONMENT["CANARY_LAB_INSTANCE"] in line or f"canary-lab-{NAME}" in line
        return ours and " Z" not in line
    return not line.startswith("#")


def kill_when_it_says(text: str, process: subprocess.Popen[str]) -> str:
    """Read the process' progress until `text` comes, then kill it without warning; return what it said."""
    said = ""
    assert process.stderr is not None
    for line in process.stderr:
        said += line
        if text in line:
            time.sleep(4)  # well inside: the node is starting
            process.send_signal(signal.SIGKILL)
            break
    process.wait(10)
    return said


def test_killed_up_is_repeated_and_down_leaves_nothing(taken_down: None) -> None:
    before = traces()
    started = subprocess.Popen([str(CLUSTER), "up", "--bare", NAME], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    said = kill_when_it_says(CREATING, started)
    assert started.returncode == -signal.SIGKILL, said
    assert traces() - before, "the killed one left nothing: then this test shows nothing"

    repeated = lab("up", "--bare", NAME)
    assert repeated.returncode == 0, repeated.stderr
    facts = json.loads(lab("status", "--json", NAME).stdout)
    assert facts["ready"]
    nodes = lab("exec", NAME, "--", "kubectl", "get", "nodes", "--no-headers").stdout
    assert nodes.split()[1] == "Ready"
    audited = [json.loads(line) for line in lab("audit", NAME).stdout.splitlines()]
    assert {"create", "patch"} <= {event["verb"] for event in audited}

    began = time.monotonic()
    again = lab("up", "--bare", NAME)
    assert again.returncode == 0, again.stderr
    assert CREATING not in again.stderr
    assert time.monotonic() - began < 10

    ended = lab("down", NAME)
    assert ended.returncode == 0, ended.stderr
    until = time.monotonic() + 10
    while (left := traces() - before) and time.monotonic() < until:
        time.sleep(0.5)
    assert not left


def test_exec_runs_in_the_network_of_the_shared_cluster() -> None:
    """A Service's address answers there; from outside only the forwarded ports do."""
    argv = [str(CLUSTER), "exec", "--", "kubectl", "get", "--raw=/readyz"]
    inside = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert inside.stdout == "ok", inside.stderr
    status = json.loads(
        subprocess.run([str(CLUSTER), "status", "--json"], capture_output=True, text=True, check=True).stdout
    )
    argv = [*argv[:3], "cat", "/proc/net/fib_trie"]
    routes = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "10.244." in routes
    assert "10.244." not in pathlib.Path("/proc/net/fib_trie").read_text(), status
