# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command line: lab/cluster VERB [NAME]."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import typing as t

from . import cache, cluster, programs, progress, sources
from .errors import LabError
from .lab import DEFAULT, Lab, registered

EPILOG = """
environment:
  CANARY_LAB_KUBECONFIG, CANARY_LAB_CONTEXT   use this existing cluster; the lab creates and deletes nothing in it
  CANARY_LAB_INGRESS_URL, CANARY_LAB_PROMETHEUS_URL   the URLs of the existing cluster's gateway and Prometheus
  IMAGES=pull|build     pull published images or build them; default: pull if a registry answers
  CANARY_LAB_NODE_IMAGE   node image for IMAGES=pull instead of kind's default one
  CANARY_LAB_CACHE      directory for build results and for the state of the clusters
  CANARY_LAB_INSTANCE   name of the private Docker daemon, to run a second one beside the first
"""


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit status: 0, or 1 after an error, which is printed on stderr."""
    arguments, command = _split(list(sys.argv[1:] if argv is None else argv))
    options = _parser().parse_args(arguments)
    options.command = command
    run, _help = VERBS[options.verb]
    try:
        return run(options) or 0
    except LabError as error:
        print(error.message, file=sys.stderr)
        if error.remedy:
            print(f"What to do: {error.remedy}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted. Run the same command again, or clean up with lab/cluster down.", file=sys.stderr)
        return 130


def _split(argv: list[str]) -> tuple[list[str], list[str]]:
    """Return the arguments before the first -- and the command after it."""
    if "--" not in argv:
        return argv, []
    index = argv.index("--")
    return argv[:index], argv[index + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lab/cluster",
        description="Create and delete kind clusters with a real Istio mesh on one machine.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, (_run, help_text) in VERBS.items():
        verb = verbs.add_parser(name, help=help_text)
        if name == "clean-cache":
            verb.add_argument("--all", action="store_true")
            continue
        verb.add_argument("name", nargs="?", default=None if name == "status" else DEFAULT, metavar="NAME")
        if name == "up":
            verb.add_argument("--bare", action="store_true", help="Kubernetes without the mesh")
        if name == "status":
            verb.add_argument("--json", action="store_true", help="print the facts about one cluster as JSON")
    return parser


def _up(options: argparse.Namespace) -> None:
    lab = cluster.up(options.name, bare=options.bare)
    progress.report(f"Cluster {lab.name} is ready.")
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
    labs = [Lab(options.name)] if options.name else list(registered())
    if not labs:
        print("There is no cluster. Create one: lab/cluster up")
    for lab in labs:
        facts = cluster.status(lab)
        state = "ready" if facts["ready"] else "not ready" if lab.registered else "absent"
        where = f"{facts['kubeconfig'] or '-'}  {facts['ingress_url'] or ''}"
        print(f"{lab.name:12} {state:10} {facts['source'] or '-':9} {where}".rstrip())
    return 0


def _exec(options: argparse.Namespace) -> int:
    if not options.command:
        raise LabError("The command is missing.", f"Run: lab/cluster exec {options.name} -- COMMAND")
    lab = _require_lab(options.name)
    prefix = lab.network_prefix()
    argv = [*prefix, *options.command]
    environment = {
        **os.environ,
        "KUBECONFIG": str(lab.kubeconfig_internal if prefix else lab.kubeconfig),
        "PATH": os.pathsep.join([*_program_folders(lab), os.environ.get("PATH", os.defpath)]),
    }
    if shutil.which(argv[0], path=environment["PATH"]) is None:
        raise LabError(f"The program {argv[0]} was not found.")
    sys.stdout.flush()
    os.execvpe(argv[0], argv, environment)


def _program_folders(lab: Lab) -> list[str]:
    """Return the directories of the built kubectl, istioctl and kind, so that the user need not install them."""
    if lab.images_mode == "pull":
        return []
    return [str(programs.program(name).parent) for name in ("kubectl", "istioctl", "kind")]


def _kubeconfig(options: argparse.Namespace) -> None:
    print(_require_lab(options.name).kubeconfig)


def _audit(options: argparse.Namespace) -> int:
    lab = _require_lab(options.name)
    if lab.source == sources.EXISTING:
        raise LabError(f"Cluster {lab.name} was not created by the lab, which cannot read its audit log.")
    return subprocess.run(cluster.audit_command(lab), check=False).returncode


def _clean_cache(options: argparse.Namespace) -> None:
    if options.all and (running := [lab.name for lab in registered()]):
        raise LabError(
            f"These clusters still use the cache: {', '.join(running)}.", "Delete them first: lab/cluster down NAME"
        )
    for folder in cache.clean(everything=options.all):
        progress.report(f"Removed {folder}")


def _require_lab(name: str) -> Lab:
    lab = Lab(name)
    if not lab.kubeconfig.exists():
        raise LabError(f"Cluster {name} does not exist.", f"Run: lab/cluster up {name}")
    return lab


VERBS: dict[str, tuple[t.Callable[[argparse.Namespace], int | None], str]] = {
    "up": (_up, "create the cluster with its mesh, or what is missing of it"),
    "down": (_down, "delete the cluster and everything that belongs to it"),
    "status": (_status, "show the status of the clusters"),
    "exec": (_exec, "run a command in the cluster's network: exec [NAME] -- COMMAND..."),
    "kubeconfig": (_kubeconfig, "print the path of the kubeconfig for this machine"),
    "audit": (_audit, "print the API server's audit log"),
    "clean-cache": (_clean_cache, "delete build tools and unused build results (with --all: all build results)"),
}
