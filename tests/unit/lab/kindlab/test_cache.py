# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cache of build results: keys, completeness, cleaning."""

from __future__ import annotations

import os
import time
import typing as t

import pytest

from lab.kindlab import cache
from lab.kindlab.errors import LabError

if t.TYPE_CHECKING:
    import pathlib


def test_cache_key_depends_on_every_input(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "go.sum"
    file.write_text("one")
    before = cache.digest([file, "flags"])
    file.write_text("two")
    keys = {before, cache.digest([file, "flags"]), cache.digest([file, "other"]), cache.digest(["flags", file])}
    assert len(keys) == 4


def test_cache_key_depends_on_the_boundaries_between_inputs() -> None:
    assert cache.digest(["ab", "c"]) != cache.digest(["a", "bc"])


def test_an_entry_is_built_once(cache_root: pathlib.Path) -> None:
    built: list[pathlib.Path] = []

    def builder(folder: pathlib.Path) -> None:
        built.append(folder)
        (folder / "program").write_text("content")

    first = cache.build_once("programs", ["x"], builder)
    again = cache.build_once("programs", ["x"], builder)
    assert first == again == cache.entry("programs", ["x"])
    assert (first / "program").read_text() == "content"
    assert len(built) == 1
    assert built[0] != first, "the builder must not fill the entry under its final name"


def test_failed_build_leaves_no_entry_and_can_be_repeated() -> None:
    def failing_builder(folder: pathlib.Path) -> None:
        (folder / "incomplete").write_text("")
        raise LabError("failed")

    with pytest.raises(LabError):
        cache.build_once("programs", ["x"], failing_builder)
    assert not cache.entry("programs", ["x"]).exists()
    second = cache.build_once("programs", ["x"], lambda folder: (folder / "complete").touch())
    assert [path.name for path in second.iterdir()] == ["complete"]


def test_clean_deletes_entries_unused_for_a_day(cache_root: pathlib.Path) -> None:
    old = cache.build_once("images", ["old"], lambda folder: None)
    used = cache.build_once("images", ["used"], lambda folder: None)
    yesterday = time.time() - 25 * 3600
    for path in (old, used):
        os.utime(path, (yesterday, yesterday))
    cache.build_once("images", ["used"], lambda folder: pytest.fail("the entry exists"))
    assert cache.clean(everything=False) == [old]
    assert used.is_dir()


def test_clean_deletes_build_tools_and_entries_only_with_everything(cache_root: pathlib.Path) -> None:
    for name in ("go/mod/x", "programs/y", "state/z"):
        (cache_root / name).mkdir(parents=True)
    (cache_root / "go/mod/x").chmod(0o500)
    cache.clean(everything=False)
    assert sorted(path.name for path in cache_root.iterdir()) == ["programs", "state"]
    cache.clean(everything=True)
    assert [path.name for path in cache_root.iterdir()] == ["state"]
