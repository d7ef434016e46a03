# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands that the pages show: make, lab/cluster, the programs of Ansible, and files of this repository.

The variables of `ansible-playbook meshops.canary...` are in test_names.py.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import typing as t

import pytest
from support.collection import ROOT
from support.playbooks import PLAYBOOKS, ROLES, variables_of

from lab.kindlab import cli

from .test_names import PAGES, PLUGINS, given, options_of_module

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.M))
TIERS = {"lint", "unit", "property", "api", "mesh", "molecule"}
ALL = sorted([*PAGES, *ROOT.glob("lab/*.md")])
BLOCK = re.compile(r"^ *```(?:console|bash|sh)\n(.*?)^ *```", re.M | re.S)
INLINE = re.compile(r"`((?:make|lab/cluster|ansible[a-z-]*) [^`]*)`")
each_page = pytest.mark.parametrize("page", ALL, ids=lambda page: str(page.relative_to(ROOT)))


def commands(text: str) -> Iterator[str]:
    """Yield the commands of a page: lines of its console blocks, and commands in a sentence, without comments."""
    for block in BLOCK.findall(text):
        joined = block.replace("\\\n", " ")
        lines = joined.splitlines()
        # With prompts, the other lines are output.
        yield from (
            [line[2:] for line in lines if line.startswith("$ ")] if "$ " in {line[:2] for line in lines} else lines
        )
    yield from (" ".join(found.split()) for found in INLINE.findall(text))


def words_of(line: str) -> Iterator[list[str]]:
    """Yield the words of each command of a line."""
    if not re.match(r"\s*(make|lab/cluster|ansible|\.venv/bin/|export|git|cd)\b", line):
        return
    lexer = shlex.shlex(line, posix=True, punctuation_chars="&;|")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if set(word) <= set("&;|"):
            yield words
            words = []
        else:
            words.append(word)
    yield words


def problems(text: str) -> Iterator[str]:
    """Yield what is wrong with the commands of a page."""
    for line in commands(text):
        for words in words_of(line):
            program = (words or [""])[0].removeprefix(".venv/bin/")
            check = CHECKS.get(program)
            if check:
                yield from (f"{' '.join(words)}: {problem}" for problem in check(words[1:], line))


def of_make(words: list[str], _line: str) -> Iterator[str]:
    for word in words:
        name, given_value, value = word.partition("=")
        if not given_value and name not in TARGETS:
            yield f"there is no target {name}"
        if given_value and f"$({name})" not in MAKEFILE and name not in ("PYTHON",):
            yield f"the Makefile does not use {name}"
        if name == "TIERS" and not set(value.split()) <= TIERS:
            yield f"{value} are no tiers"


def of_the_lab(words: list[str], _line: str) -> Iterator[str]:
    shown = [word.strip("[]") for word in words if word not in ("[NAME]", "NAME")]
    arguments, _command = cli._split(shown)
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            cli._parser().parse_args(arguments)
        except SystemExit:
            yield said.getvalue().strip().splitlines()[-1]


def of_ansible_playbook(words: list[str], line: str) -> Iterator[str]:
    named = [word for word in words if word.startswith("meshops.canary.")]
    for name in (word.removeprefix("meshops.canary.") for word in named):
        if name not in PLAYBOOKS:
            yield f"there is no playbook {name}"
        elif unknown := set(given(line)) - variables_of(name):
            yield f"{name} has no variables {sorted(unknown)}"
    for word in words:
        if re.match(r"(awx|examples|playbooks)/", word) and not (ROOT / word).is_file():
            yield f"there is no file {word}"


def of_ansible_doc(words: list[str], _line: str) -> Iterator[str]:
    kind = words[words.index("-t") + 1] if "-t" in words else "module"
    known = ROLES if kind == "role" else PLUGINS
    for name in (word.removeprefix("meshops.canary.") for word in words if word.startswith("meshops.canary.")):
        if name not in known and name != "NAME":
            yield f"there is no {kind} {name}"


def of_ansible(words: list[str], _line: str) -> Iterator[str]:
    module = words[words.index("-m") + 1]
    if module.startswith("meshops.canary.") and "-a" in words:
        options = re.findall(r"(\w+)=", words[words.index("-a") + 1])
        if unknown := set(options) - options_of_module(module.removeprefix("meshops.canary.")):
            yield f"{module} has no options {sorted(unknown)}"


CHECKS: dict[str, t.Callable[[list[str], str], Iterator[str]]] = {
    "make": of_make,
    "lab/cluster": of_the_lab,
    "ansible-playbook": of_ansible_playbook,
    "ansible-doc": of_ansible_doc,
    "ansible": of_ansible,
}


@each_page
def test_commands_of_the_page_exist_with_what_they_are_given(page: Path) -> None:
    assert list(problems(page.read_text(encoding="utf-8"))) == []


def test_there_are_commands_of_each_kind() -> None:
    pages = "\n".join(page.read_text(encoding="utf-8") for page in ALL)
    shown = {words[0].removeprefix(".venv/bin/") for line in commands(pages) for words in words_of(line) if words}
    assert set(CHECKS) <= shown


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("make demoo", "there is no target demoo"),
        ("make demo KEPT=1", "the Makefile does not use KEPT"),
        ('make test TIERS="api mash"', "api mash are no tiers"),
        ("lab/cluster start", "invalid choice"),
        ("lab/cluster up --bear", "unrecognized arguments"),
        ("ansible-playbook meshops.canary.rolout -e ns=x", "there is no playbook rolout"),
        ("ansible-playbook -i inventory.yml meshops.canary.release -e release_till=x", "release_till"),
        ("ansible-playbook awx/set.yml", "there is no file"),
        ("ansible-doc -t role meshops.canary.canary_weight", "there is no role canary_weight"),
        ("ansible localhost -m meshops.canary.canary_rollout -a 'servce=x'", "servce"),
        ("cd x && make demoo", "there is no target demoo"),
    ],
)
def test_a_wrong_command_is_found(line: str, problem: str) -> None:
    (found,) = problems(f"```console\n{line}\n```\n")
    assert problem in found
