# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cache of build results, outside the checkout; each entry is named by the hash of its inputs."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
import time
import typing as t

from . import progress

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Inputs = list[t.Any]


def root() -> pathlib.Path:
    """Return the cache directory: $CANARY_LAB_CACHE, else /var/cache/... for root, else the user's own cache."""
    if configured := os.environ.get("CANARY_LAB_CACHE"):
        return pathlib.Path(configured).absolute()
    if os.geteuid() == 0:
        return pathlib.Path("/var/cache/meshops-canary-lab")
    home = os.environ.get("XDG_CACHE_HOME") or str(pathlib.Path.home() / ".cache")
    return pathlib.Path(home) / "meshops-canary-lab"


def digest(inputs: Inputs) -> str:
    """Return the SHA-256 of `inputs` in hex: a path counts as the content of its file, other values as their text."""
    result = hashlib.sha256()
    for item in inputs:
        data = _bytes_of(item)
        # Without the length, ["ab", "c"] and ["a", "bc"] would have one digest.
        result.update(b"%d:" % len(data))
        result.update(data)
    return result.hexdigest()


def _bytes_of(item: t.Any) -> bytes:
    if isinstance(item, bytes):
        return item
    if isinstance(item, pathlib.Path):
        return item.read_bytes()
    return str(item).encode()


def entry(kind: str, inputs: Inputs) -> pathlib.Path:
    """Return the directory of the cache entry of this kind for these inputs; it may not exist yet."""
    return root() / kind / digest(inputs)[:20]


def build_once(kind: str, inputs: Inputs, builder: Callable[[pathlib.Path], None]) -> pathlib.Path:
    """Return the directory of `entry(kind, inputs)`; if it is missing, `builder` creates its content.

    The builder gets an empty temporary directory, which is renamed when it is complete: a killed build leaves no
    incomplete entry. A second process waits for the result of the first one.
    """
    target = entry(kind, inputs)
    if target.is_dir():
        os.utime(target)  # `clean` deletes entries by the time of their last use
        return target
    with locked(target.with_name(target.name + ".lock")):
        if not target.is_dir():
            partial = target.with_name(target.name + ".part")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            builder(partial)
            partial.rename(target)
    return target


@contextlib.contextmanager
def locked(path: pathlib.Path) -> Iterator[None]:
    """Hold the lock on the file `path`; the kernel releases it when the process ends, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.report(f"Waiting for another process (lock file: {path}) ...")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


_BUILD_TOOLS = ("go", "go-bin", "logs")
_ENTRIES = ("programs", "node-base", "node-image", "debian", "images", "envoy")
_DOCKER_DATA = "docker"  # the data of the private Docker daemon, without entries
_UNUSED_SECONDS = 24 * 3600


def clean(*, everything: bool) -> list[pathlib.Path]:
    """Delete build tools and the entries unused for a day; return the deleted directories.

    everything: delete all entries and the data of the private Docker daemon.
    """
    kinds = (*_ENTRIES, _DOCKER_DATA) if everything else ()
    removed = [root() / name for name in (*_BUILD_TOOLS, *kinds) if (root() / name).is_dir()]
    if not everything:
        entries = (path for name in _ENTRIES for path in (root() / name).glob("*"))
        removed += [path for path in entries if path.is_dir() and path.stat().st_mtime < time.time() - _UNUSED_SECONDS]
    for folder in removed:
        # Go makes its module directories read-only.
        for inner, _folders, _files in os.walk(folder):
            pathlib.Path(inner).chmod(0o700)
        shutil.rmtree(folder)
    return removed
