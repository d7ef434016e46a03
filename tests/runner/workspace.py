# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A copy of the checkout under the path that Ansible's tools require, and a home folder for them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import ansible

if t.TYPE_CHECKING:
    from collections.abc import Iterator

# ansible-test creates virtual environments with a get-pip.py that it downloads from its own host.
# Python includes pip, so this file replaces the download, and only the package index is needed.
GET_PIP = '''"""Replaces get-pip.py: installs the pip that Python includes."""
import subprocess
import sys

subprocess.check_call([sys.executable, "-m", "ensurepip"])
wanted = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", *wanted]))
'''


@contextlib.contextmanager
def collection_copy(root: Path) -> Iterator[Path]:
    """Yield a folder for ANSIBLE_COLLECTIONS_PATH with a copy of all files that git tracks or would track.

    The lab is left out: it is not part of the collection and has its own checks.
    """
    with tempfile.TemporaryDirectory(prefix="meshops-canary-check-") as folder:
        target = Path(folder, "ansible_collections", "meshops", "canary")
        for name in _files(root):
            source, copy = root / name, target / name
            if source.is_symlink() or source.is_file():  # git also lists files that were just removed
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, copy, follow_symlinks=False)
        yield Path(folder)


def _files(root: Path) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    )
    names = {os.fsdecode(name) for name in listed.stdout.split(b"\0") if name}
    return sorted(name for name in names if not name.startswith("lab/"))


def tool_home(cache: Path) -> Path:
    """Return a HOME for Ansible's tools, so that they neither read nor write the user's.

    ansible-test clears the environment of its commands, so the settings of pip must be in its file.
    """
    home = cache / "home"
    pip = home / ".config" / "pip" / "pip.conf"
    pip.parent.mkdir(parents=True, exist_ok=True)
    pip.write_text(_pip_settings(), encoding="utf-8")
    stand_ins = home / ".ansible" / "test" / "cache"
    stand_ins.mkdir(parents=True, exist_ok=True)
    for version in _get_pip_versions():
        (stand_ins / f"get_pip_{version}.py").write_text(GET_PIP, encoding="utf-8")
    return home


def _pip_settings() -> str:
    """Return the text of a pip.conf with the current settings, from pip's files and from the environment."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    settings: dict[str, str] = {}
    for line in sorted(listed.stdout.splitlines(), key=lambda line: line.startswith(":env:")):  # the environment wins
        name, _equals, value = line.partition("=")
        settings[name.partition(".")[2]] = value.strip("'\"")
    return "\n".join(["[global]", *(f"{name} = {value}" for name, value in sorted(settings.items())), ""])


def _get_pip_versions() -> set[str]:
    """Return the versions of pip that the installed ansible-test downloads, as its file names have them."""
    internal = Path(ansible.__file__).parents[1] / "ansible_test" / "_internal"
    found = re.findall(r"\bpip='([\d.]+)'", (internal / "python_requirements.py").read_text(encoding="utf-8"))
    assert found, f"{internal}: ansible-test no longer names its version of pip there; adapt this function"
    return {version.replace(".", "_") for version in found}
