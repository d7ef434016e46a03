# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Client of Git: reads files of a commit, and writes a commit to a branch. It never pushes.

A commit is made of objects alone (blobs, trees, the commit), and the branch is moved to it last, in one step that fails
if somebody else has moved it. So all files change or none, and the work tree is not touched, unless the branch is the
one that is checked out: then Git itself moves it forward, and refuses if that would overwrite anything.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import typing as t
from pathlib import Path

from .errors import InvalidInput, Refused

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SECONDS: t.Final = 60.0
"""How long one command of Git may take."""
_FILE_MODES: t.Final = ("100644", "100755")


class Checkout:
    """A Git checkout. path: a directory in it. root: its top, to which the names of files are relative."""

    def __init__(self, path: str) -> None:
        given = Path(path).expanduser().absolute()
        if not given.is_dir():
            raise InvalidInput(f"repository: there is no directory {given}. Name a Git checkout.")
        self.root = str(given)
        self.root = self._text("rev-parse", "--show-toplevel", problem="is no Git checkout")
        self.head = self._text("rev-parse", "--verify", "HEAD^{commit}", problem="has no commit yet")
        self.branch = self._text("symbolic-ref", "--quiet", "--short", "HEAD", may_fail=True)

    def base(self, branch: str) -> str:
        """Return the commit that a branch is continued from: its own, or HEAD if that has it already, or for a new one.

        Raises InvalidInput for a name that no branch can have, Refused where the branch must not be touched.
        """
        if not branch or self._run("check-ref-format", "--branch", branch, may_fail=True)[0]:
            raise InvalidInput(f"branch: {branch!r} cannot be the name of a branch. Name one such as canary/reviews.")
        dirty = self._text("status", "--porcelain", "--untracked-files=no").splitlines()
        if dirty:
            raise Refused(
                f"The checkout {self.root} has changes that are not committed: {', '.join(dirty[:5])}. Nothing was "
                "written. Commit or stash them, or use another checkout (git worktree add)."
            )
        tip = self.tip(branch)
        if tip is None:
            return self.head
        self._refuse_elsewhere(branch)
        merged = self._run("merge-base", "--is-ancestor", tip, self.head, may_fail=True)[0] == 0
        return self.head if merged else tip

    def tip(self, branch: str) -> str | None:
        """Return the commit of a branch, None if there is no such branch."""
        found = self._text("rev-parse", "--quiet", "--verify", f"refs/heads/{branch}^{{commit}}", may_fail=True)
        return found or None

    def files(self, commit: str, names: Sequence[str], suffixes: Sequence[str]) -> dict[str, str]:
        """Return path -> text of files in a commit; of a directory those with the suffixes.

        names: relative to `root`, or absolute. Raises InvalidInput for one that is not in the commit, or is no text.
        """
        found: dict[str, str] = {}
        for name in names:
            path = self.relative(name)
            # A directory is listed by its content; the root itself has no path.
            listed = self._entries(commit, path)
            if not listed:
                raise InvalidInput(
                    f"files: {name} is not in the commit {commit[:12]} of {self.root}. Names are relative to its top; "
                    "a file that is not committed, or ignored, is not seen."
                )
            by_suffix = {one: entry for one, entry in listed.items() if one.endswith(tuple(suffixes))}
            chosen = listed if path in listed else by_suffix
            if not chosen:
                raise InvalidInput(f"files: {name} has no file that ends with {', '.join(suffixes)}.")
            for one, (mode, blob) in chosen.items():
                if mode in _FILE_MODES:
                    found[one] = self._content(one, blob)
                elif one == path:
                    raise InvalidInput(f"files: {name} is a symbolic link or a submodule. Name the file itself.")
        return found

    def commit(self, branch: str, base: str, contents: Mapping[str, str], message: str) -> str:
        """Write the files in a commit on top of `base`, move the branch to it, and return it. Raises Refused."""
        before = self.tip(branch)
        with tempfile.TemporaryDirectory(prefix="canary-handback-") as directory:
            index = {"GIT_INDEX_FILE": str(Path(directory) / "index")}
            self._run("read-tree", base, env=index)
            for path, text in contents.items():
                mode = self._entries(base, path)[path][0]
                blob = self._text("hash-object", "-w", "--stdin", "--no-filters", stdin=text.encode())
                self._run("update-index", "--cacheinfo", f"{mode},{blob},{path}", env=index)
            tree = self._text("write-tree", env=index)
        signed = ["-S"] if self._text("config", "--bool", "commit.gpgsign", may_fail=True) == "true" else []
        made = self._text("commit-tree", *signed, "-p", base, "-F", "-", tree, stdin=message.encode())
        if branch == self.branch:
            self._run("-c", "core.hooksPath=/dev/null", "merge", "--ff-only", "--quiet", made)
        else:
            self._run("update-ref", "-m", "canary_handback", f"refs/heads/{branch}", made, before or "0" * len(made))
        return made

    def relative(self, name: str) -> str:
        """Return a name relative to `root`. Raises InvalidInput for one outside of it."""
        root = Path(self.root).resolve()
        meant = root / Path(name).expanduser()
        path = os.path.relpath(meant.parent.resolve() / meant.name, root)
        if path == ".." or path.startswith(f"..{os.sep}"):
            raise InvalidInput(f"files: {name} is outside of the checkout {self.root}.")
        return path

    def _entries(self, commit: str, path: str) -> dict[str, tuple[str, str]]:
        """Return path -> (mode, object) of a file, or of all files below a directory."""
        pathspec = [] if path == "." else ["--", path]
        listed = self._run("ls-tree", "-r", "-z", "--full-tree", commit, *pathspec)[1].decode(errors="surrogateescape")
        found = {}
        for line in filter(None, listed.split("\0")):
            about, _tab, name = line.partition("\t")
            mode, _kind, blob = about.split()
            found[name] = (mode, blob)
        return found

    def _content(self, path: str, blob: str) -> str:
        data = self._run("cat-file", "blob", blob)[1]
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise InvalidInput(f"files: {path} is no text in UTF-8. Leave it out.") from None

    def _refuse_elsewhere(self, branch: str) -> None:
        """Raise Refused for a branch that is checked out in another work tree: that would look changed."""
        if branch == self.branch:
            return
        trees = self._text("worktree", "list", "--porcelain").split("\n\n")
        for tree in trees:
            lines = tree.splitlines()
            if f"branch refs/heads/{branch}" in lines:
                raise Refused(
                    f"branch: {branch} is checked out in {lines[0].partition(' ')[2]}. Nothing was written. Name that "
                    "checkout as repository, or another branch."
                )

    def _text(self, *arguments: str, **more: t.Any) -> str:
        return self._run(*arguments, **more)[1].decode(errors="replace").strip()

    def _run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        may_fail: bool = False,
        problem: str = "",
    ) -> tuple[int, bytes]:
        """Run Git; return its code and its output. Raises Refused if it fails."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_DIR")}
        environment.update({"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", **(env or {})})
        try:
            done = subprocess.run(
                ["git", *arguments],
                cwd=self.root,
                input=stdin,
                env=environment,
                capture_output=True,
                timeout=SECONDS,
                check=False,
            )
        except FileNotFoundError:
            raise Refused("repository: the host that runs the task has no program git. Install it.") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Refused(f"repository: git {arguments[0]} in {self.root}: {error}") from None
        if done.returncode and not may_fail:
            said = " ".join(done.stderr.decode(errors="replace").split())
            what = f"{self.root} {problem}" if problem else f"git {arguments[0]} in {self.root} failed"
            raise Refused(f"repository: {what}: {said}. The branch was not changed.")
        return done.returncode, done.stdout
