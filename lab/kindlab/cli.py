# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""lab/cluster VERB [NAME]: the command line."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import typing as t

from . import cache, cluster, programs, progress
from .errors import LabError
from .lab import DEFAULT, Lab, known

EPILOG = """
environment:
  CANARY_LAB_KUBECONFIG, CANARY_LAB_CONTEXT   use this existing cluster; nothing is created in it or deleted
  CANARY_LAB_INGRESS_URL, CANARY_LAB_PROMETHEUS_URL   where that cluster's gateway and Prometheus are
  IMAGES=pull|build     where images come from; without it a registry that answers decides
  CANARY_LAB_CACHE      folder for what was built and for the clusters' state
  CANARY_LAB_INSTANCE   another private Docker daemon beside the first
"""


def main(argv: list[str] | None = None) -> int:
    """Do what the words say; the exit status is 0, or 1 with the reason on stderr."""
    words = list(sys.argv[1:] if argv is None else argv)
    words, command = _split(words)
    options = _parser().parse_args(words)
    try:
        if options.verb == "exec":
            return _exec(Lab(options.name), command)
        return int(VERBS[options.verb](options) or 0)
    except LabError as error:
        print(error.message, file=sys.stderr)
        if error.way_out:
            print(f"What to do: {error.way_out}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted. The same can be repeated; lab/cluster down clears everything away.", file=sys.stderr)
        return 130


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """What is before -- and what is after it."""
    if "--" not in words:
        return words, []
    at = words.index("--")
    return words[:at], words[at + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lab/cluster",
        description="Real kind clusters with a real mesh on one machine.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, help_text in {
        "up": "have the cluster running, with its mesh",
        "down": "take it away and leave nothing behind",
        "status": "say how the clusters are",
        "exec": "run a command in the cluster's network: exec [NAME] -- COMMAND...",
        "kubeconfig": "print the path of a kubeconfig that works on this machine",
        "audit": "print the API server's audit log",
        "clean-cache": "remove what is only needed for building (with --all: everything that was built)",
    }.items():
        verb = verbs.add_parser(name, help=help_text)
        if name == "clean-cache":
            verb.add_argument("--all", action="store_true")
            continue
        verb.add_argument("name", nargs="?", default=None if name == "status" else DEFAULT, metavar="NAME")
        if name == "up":
            verb.add_argument("--bare", action="store_true", help="Kubernetes alone, without the mesh")
        if name == "status":
            verb.add_argument("--json", action="store_true", help="one cluster's facts as JSON")
    return parser


def _up(options: argparse.Namespace) -> None:
    lab = cluster.up(options.name, bare=options.bare)
    progress.say(f"Cluster {lab.name} is ready.")
    print(f"export KUBECONFIG={lab.kubeconfig}")
    for title, url in (("ingress gateway", lab.ingress_url), ("Prometheus", lab.prometheus_url)):
        if url:
            print(f"# {title}: {url}")


def _down(options: argparse.Namespace) -> None:
    cluster.down(options.name)


def _status(options: argparse.Namespace) -> int:
    if options.json:
        facts = cluster.status(Lab(options.name or DEFAULT))
        print(json.dumps(facts, indent=2))
        return 0 if facts["ready"] else 1
    labs = [Lab(options.name)] if options.name else list(known())
    if not labs:
        print("There is no cluster. lab/cluster up makes one.")
    for lab in labs:
        facts = cluster.status(lab)
        state = "ready" if facts["ready"] else "not ready" if lab.known else "not there"
        where = f"{facts['kubeconfig'] or '-'}  {facts['ingress_url'] or ''}"
        print(f"{lab.name:12} {state:10} {facts['source'] or '-':9} {where}".rstrip())
    return 0


def _exec(lab: Lab, command: t.Sequence[str]) -> int:
    if not command:
        raise LabError("There is no command to run.", f"Say: lab/cluster exec {lab.name} -- COMMAND")
    _must_be_known(lab)
    prefix = lab.inside()
    argv = [*prefix, *command]
    environment = {
        **os.environ,
        "KUBECONFIG": str(lab.kubeconfig_internal if prefix else lab.kubeconfig),
        "PATH": os.pathsep.join([*_program_folders(lab), os.environ.get("PATH", os.defpath)]),
    }
    if shutil.which(argv[0], path=environment["PATH"]) is None:
        raise LabError(f"There is no program {argv[0]}.")
    sys.stdout.flush()
    os.execvpe(argv[0], argv, environment)


def _program_folders(lab: Lab) -> list[str]:
    """Where the cluster's own kubectl, istioctl and kind are, so that nobody needs to install them."""
    if lab.images_mode == "pull":
        return []
    return [str(programs.program(name).parent) for name in ("kubectl", "istioctl", "kind")]


def _kubeconfig(options: argparse.Namespace) -> None:
    lab = Lab(options.name)
    _must_be_known(lab)
    print(lab.kubeconfig)


def _audit(options: argparse.Namespace) -> int:
    lab = Lab(options.name)
    _must_be_known(lab)
    command = cluster.status(lab)["audit_log"]
    if command is None:
        raise LabError(f"Cluster {lab.name} is not ours: its audit log is its owner's.")
    return subprocess.run(command, check=False).returncode


def _clean_cache(options: argparse.Namespace) -> None:
    if options.all and (running := [lab.name for lab in known()]):
        raise LabError(f"These clusters still use the cache: {', '.join(running)}.", "Take them down first.")
    for folder in cache.clean(everything=options.all):
        progress.say(f"Removed {folder}")


def _must_be_known(lab: Lab) -> None:
    if not lab.kubeconfig.exists():
        raise LabError(f"There is no cluster {lab.name}.", f"Run: lab/cluster up {lab.name}")


VERBS: dict[str, t.Callable[[argparse.Namespace], int | None]] = {
    "up": _up,
    "down": _down,
    "status": _status,
    "kubeconfig": _kubeconfig,
    "audit": _audit,
    "clean-cache": _clean_cache,
}
