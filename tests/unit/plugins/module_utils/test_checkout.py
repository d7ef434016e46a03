# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commits on a branch, by a real Git: all files or none, and nothing that the user has not named."""

from __future__ import annotations

import subprocess
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.checkout import Checkout
from ansible_collections.meshops.canary.plugins.module_utils.errors import CanaryError

if t.TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = (".yaml",)


def git(path: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=path, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "none"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    path = tmp_path / "apps"
    (path / "shop").mkdir(parents=True)
    (path / "shop" / "a.yaml").write_bytes(b"a: 1\r\n")
    (path / "shop" / "b.yaml").write_bytes(b"b: 1")
    (path / "shop" / "readme.md").write_text("text")
    (path / "link.yaml").symlink_to("shop/a.yaml")
    (path / "picture.yaml").write_bytes(b"\xff\xfe")
    git(path, "init", "--quiet", "--initial-branch=main")
    git(path, "config", "user.name", "ops")
    git(path, "config", "user.email", "ops@example.com")
    git(path, "add", ".")
    git(path, "commit", "--quiet", "-m", "first")
    return path


def committed(repository: Path, branch: str, **contents: str) -> str:
    checkout = Checkout(str(repository))
    files = {f"shop/{name}.yaml": text for name, text in contents.items()}
    return checkout.commit(branch, checkout.base(branch), files, "new state\n")


def refused(repository: Path, branch: str = "canary/x") -> str:
    with pytest.raises(CanaryError) as caught:
        Checkout(str(repository)).base(branch)
    return caught.value.msg


def test_a_new_branch_gets_the_files_byte_for_byte(repository: Path) -> None:
    made = committed(repository, "canary/x", a="a: 2\r\n", b="b: 2")
    assert git(repository, "log", "--format=%H %s", "canary/x").splitlines()[0] == f"{made} new state"
    assert subprocess.check_output(["git", "show", "canary/x:shop/a.yaml"], cwd=repository) == b"a: 2\r\n"
    assert subprocess.check_output(["git", "show", "canary/x:shop/b.yaml"], cwd=repository) == b"b: 2"
    assert git(repository, "diff", "--name-only", "main", "canary/x").split() == ["shop/a.yaml", "shop/b.yaml"]
    assert git(repository, "status", "--porcelain", "--branch") == "## main"
    assert (repository / "shop" / "a.yaml").read_bytes() == b"a: 1\r\n"


def test_a_branch_is_continued_and_one_that_is_merged_begins_at_head(repository: Path) -> None:
    first = committed(repository, "canary/x", a="a: 2")
    second = committed(repository, "canary/x", b="b: 2")
    assert git(repository, "rev-parse", "canary/x~1") == first
    git(repository, "merge", "--quiet", "--ff-only", "canary/x")
    git(repository, "commit", "--quiet", "--allow-empty", "-m", "later")
    committed(repository, "canary/x", a="a: 3")
    assert git(repository, "rev-parse", "canary/x~1") == git(repository, "rev-parse", "main")
    assert second != git(repository, "rev-parse", "main")


def test_the_branch_that_is_checked_out_moves_with_its_files(repository: Path) -> None:
    committed(repository, "main", a="a: 2")
    assert (repository / "shop" / "a.yaml").read_text() == "a: 2"
    assert git(repository, "status", "--porcelain") == ""


def test_an_untracked_file_in_the_way_of_nothing_does_not_matter(repository: Path) -> None:
    (repository / "new.yaml").write_text("x: 1")
    committed(repository, "main", a="a: 2")
    assert (repository / "new.yaml").read_text() == "x: 1"


def test_a_changed_work_tree_is_refused(repository: Path) -> None:
    (repository / "shop" / "b.yaml").write_text("mine")
    message = refused(repository)
    assert "not committed: M shop/b.yaml" in message.replace("  ", " ")
    assert "git worktree add" in message
    assert git(repository, "branch", "--list", "canary/x") == ""


def test_a_branch_of_another_work_tree_is_refused(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "--quiet", "-b", "canary/x", str(tmp_path / "other"))
    assert f"checked out in {tmp_path / 'other'}" in refused(repository)


@pytest.mark.parametrize("branch", ["", "a..b", "-x", "a b", "@{-1}"])
def test_names_that_no_branch_has(repository: Path, branch: str) -> None:
    assert "branch: " in refused(repository, branch)


def test_a_branch_that_somebody_has_moved_is_not_overwritten(repository: Path) -> None:
    checkout = Checkout(str(repository))
    base = checkout.base("canary/x")
    theirs = committed(repository, "canary/x", a="a: 2")
    checkout.tip = lambda branch: None  # type: ignore[method-assign]  # as it was when the files were read
    with pytest.raises(CanaryError, match="The branch was not changed"):
        checkout.commit("canary/x", base, {"shop/a.yaml": "a: 3"}, "x")
    assert git(repository, "rev-parse", "canary/x") == theirs


def test_without_an_identity_nothing_is_written(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(repository, "config", "--unset", "user.name")
    git(repository, "config", "--unset", "user.email")
    git(repository, "config", "user.useConfigOnly", "true")
    with pytest.raises(CanaryError, match=r"user\.email"):
        committed(repository, "canary/x", a="a: 2")
    assert git(repository, "branch", "--list", "canary/x") == ""


def test_files_and_directories_of_the_commit(repository: Path) -> None:
    checkout = Checkout(str(repository / "shop"))
    both = {"shop/a.yaml": "a: 1\r\n", "shop/b.yaml": "b: 1"}
    assert checkout.files(checkout.head, ["shop"], SUFFIXES) == both
    assert checkout.files(checkout.head, [str(repository / "shop" / "b.yaml")], SUFFIXES) == {"shop/b.yaml": "b: 1"}
    assert (
        checkout.relative("./shop/../shop/b.yaml")
        == checkout.relative(str(repository / "shop/b.yaml"))
        == "shop/b.yaml"
    )
    assert checkout.files(checkout.head, ["shop/readme.md"], SUFFIXES) == {"shop/readme.md": "text"}
    for name, why in (
        ("nothing.yaml", "is not in the commit"),
        ("../other", "is outside of the checkout"),
        ("/etc/passwd", "is outside of the checkout"),
        ("link.yaml", "is a symbolic link"),
        ("picture.yaml", "is no text in UTF-8"),
    ):
        with pytest.raises(CanaryError, match=why):
            checkout.files(checkout.head, [name], SUFFIXES)


def test_what_is_no_checkout(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none", "there is no directory"), (tmp_path, "is no Git checkout")):
        with pytest.raises(CanaryError, match=why):
            Checkout(str(path))
    git(tmp_path, "init", "--quiet")
    with pytest.raises(CanaryError, match="has no commit yet"):
        Checkout(str(tmp_path))
