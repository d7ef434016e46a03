# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the pages that are generated from the code; with --check only report whether they are up to date."""

from __future__ import annotations

import ast
import json
import sys
import textwrap
import typing as t
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 120
UTILS = ROOT / "plugins" / "module_utils"
PACKAGES = """\
## Packages

<!-- Generated from docs/packages.yml and the docstrings by docs/generate.py: edit those. -->
"""
GENERATED = "<!-- Generated from the code by docs/generate.py; edit that. -->"
FINDINGS_INTRODUCTION = """\
What can be wrong with a canary. Each finding has a stable code, and every task that reports it names the object, the \
reason and what to do.

The playbook `meshops.canary.preflight` reports what is wrong with a service as it is. What only a change would make \
wrong is reported by the module that makes the change, and what loses requests when pods are replaced by \
`canary_replicas`; in check mode too, which writes nothing.

Modules that write run the same checks before each change. They judge only the versions that the change gives more \
requests, so moving requests away from a broken version is never refused."""
SEVERITIES = {
    "error": "Modules that write refuse, and write nothing. `force: [CODE]` overrides one code. Where `force` does not "
    "override it, nothing can be planned, and naming the code in `force` is an error itself.",
    "warning": "Modules that write go on, and report it in their result.",
    "note": "Only `canary_info` and the playbook `preflight` report it.",
}
FOUND_BY = {
    "the module that makes the change": "CAPACITY_BELOW_SHARE CAPACITY_NOT_YET CAPACITY_OF_COHORT "
    "COHORT_MATCH_INEXPRESSIBLE DELEGATE_MATCH_CONFLICT ENDPOINT_UNKNOWN_TO_PROXIES HOST_CLAIM_CONTESTED "
    "MIRROR_NOT_OURS STATE_UNREADABLE "
    "SUBSET_IN_USE SUBSET_LABELS_DIFFER",
    "`canary_rollout`": "NOT_ENOUGH_REQUESTS STABLE_NOT_SERVING",
    "`canary_replicas`": "CANARY_TEMPLATE_DIFFERS PROMOTES_UNTESTED READINESS_PROBE_MISSING SESSION_AFFINITY "
    "UPDATE_ENDS_ALL_PODS UPDATE_SINKS_CAPACITY",
}
ALSO_FOUND_BY = {"`canary_replicas`": "GRACE_PERIOD_TOO_SHORT PRESTOP_MISSING PRESTOP_TOO_SHORT"}
"""What preflight cannot find: it reads a service as it is, and of Deployments their capacity and how pods end."""
RIGHTS_INTRODUCTION = """\
What the modules need from the API server: for each kind of work one complete Role of one namespace. The playbook \
`meshops.canary.preflight` checks every right on this page and reports each one that is missing, with its purpose.

The roles `versions`, `autoscale` and `bookinfo` apply manifests with kubernetes.core. They need `get`, `list`, \
`create`, `patch` and `delete` on the kinds of these manifests. `canary_rollout` and the role \
`rollout` without a mesh (`rollout_route_api: replicas`) need two of the Roles below, Rollout and Replicas."""
OPTIONAL_RIGHTS = """\
Without these rights the modules work with less evidence or without an option, and say so in their results.

With `rollout_watchdog` the user who starts the rollout gives the watchdog Job rights on the record, the lock and the \
routing objects, each by name. Kubernetes allows this only to a user who has these rights. Where Argo CD applies the \
routes, `list` on `applications` (API group argoproj.io) in all namespaces shows whether it reverts changes by itself; \
this right is checked only there."""
PLACES = {
    "service": "the namespace of the service",
    "istio": "the namespace of Istio",
    "cluster": "all namespaces (ClusterRole)",
}


def pages() -> dict[Path, str]:
    """Return path -> text of every page."""
    sys.path.insert(0, str(ROOT))
    from plugins.module_utils.commands import rollout
    from plugins.module_utils.findings import CATALOGUE
    from plugins.module_utils.release import data
    from plugins.module_utils.writing import required_rights

    return {
        ROOT / "docs" / "architecture.md": architecture_page(),
        ROOT / "docs" / "findings.md": findings_page(CATALOGUE),
        ROOT / "docs" / "rights.md": rights_page(required_rights),
        ROOT / "docs" / "release.schema.json": release_schema(data.schema(rollout.SPEC.options)),
    }


def release_schema(release: t.Mapping[str, t.Any]) -> str:
    """Return the JSON schema of a file with `canary_release`; other variables may stand beside it."""
    described = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A release of meshops.canary",
        "description": "A file with the variable canary_release, such as release.yml. See docs/release.md.",
        "type": "object",
        "required": ["canary_release"],
        "properties": {"canary_release": release},
    }
    return json.dumps(described, indent=2) + "\n"


def architecture_page() -> str:
    """Return the page with its last section, the packages and what each file is for, made anew."""
    prose, heading, _generated = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").partition(PACKAGES)
    lines = [prose + heading.rstrip(), ""]
    for package in yaml.safe_load((ROOT / "docs" / "packages.yml").read_text(encoding="utf-8")):
        lines += [f"### {package['name']}", "", _text(_package(package)), ""]
        folder = UTILS / package["name"]
        files = sorted(path for path in folder.glob("*.py") if path.stem != "__init__")
        lines += [_text(f"- `{path.name}`: {_first_line(path)}", hanging_indent="  ") for path in files]
        lines += [""] if files else []
    return "\n".join(lines).rstrip() + "\n"


def _package(package: t.Mapping[str, t.Any]) -> str:
    pure = " Pure." if package.get("pure") else ""
    return f"{package['purpose']}{pure} Imports: {', '.join(package['imports']) or 'nothing'}."


def _first_line(path: Path) -> str:
    """Return what a file is for, the first line of its docstring."""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0].removesuffix(" Pure.")


def findings_page(catalogue: t.Mapping[str, t.Any]) -> str:
    """Return a section for each finding, by severity."""
    lines = ["# Findings", "", GENERATED, "", _text(FINDINGS_INTRODUCTION)]
    for severity, meaning in SEVERITIES.items():
        lines += ["", f"## {severity.capitalize()}s", "", _text(meaning)]
        for code, kind in sorted(catalogue.items()):
            if kind.severity == severity:
                lines += ["", *_finding(code, kind)]
    return "\n".join(lines) + "\n"


def _finding(code: str, kind: t.Any) -> list[str]:
    """Return the section of one finding; only errors can be forced."""
    by = next((finder for finder, codes in FOUND_BY.items() if code in codes.split()), "preflight")
    by += "".join(f" and {finder}" for finder, codes in ALSO_FOUND_BY.items() if code in codes.split())
    forced = (
        f" `force` {'overrides it' if kind.forcible else 'does not override it'}." if kind.severity == "error" else ""
    )
    return [f"### {code}", "", _text(f"{kind.title}. Found by {by}.{forced}"), "", _text(f"What to do: {kind.remedy}")]


def rights_page(required_rights: t.Any) -> str:
    """Return a Role for each kind of work, and the rules that add evidence or an option."""
    lines = ["# Rights", "", GENERATED, "", _text(RIGHTS_INTRODUCTION)]
    for role, purpose in required_rights.ROLES.items():
        head = ["kind: Role", f"metadata: {{name: canary-{role}, namespace: bookinfo}}"]
        lines += ["", f"## {role.capitalize()}", "", _text(f"For {purpose}."), ""]
        lines += _rules(required_rights.of_role(role), "apiVersion: rbac.authorization.k8s.io/v1", *head)
    lines += ["", "## Optional rights", "", _text(OPTIONAL_RIGHTS)]
    for where, place in PLACES.items():
        found = [need for need in required_rights.NEEDS if not need.roles and need.where == where]
        lines += ["", f"### In {place}", "", *_rules(found)]
    return "\n".join(lines) + "\n"


def _rules(needs: t.Iterable[t.Any], *head: str) -> list[str]:
    """Return a block of RBAC rules, one for each resource, below the lines of `head`."""
    by_resource: dict[tuple[str, str], list[t.Any]] = {}
    for need in needs:
        by_resource.setdefault((need.resource.group, need.name), []).append(need)
    lines = ["```yaml", *head, "rules:"]
    for (group, name), listed in by_resource.items():
        purposes = "; ".join(dict.fromkeys(need.what for need in listed))
        verbs = ", ".join(need.verb for need in listed)
        lines.append(_text(purposes, "  # "))
        lines.append(f'  - {{apiGroups: ["{group}"], resources: [{name}], verbs: [{verbs}]}}')
    return [*lines, "```"]


def _text(text: str, prefix: str = "", hanging_indent: str = "") -> str:
    """Return the paragraphs of `text`, wrapped. hanging: put before all lines of a paragraph but its first."""
    wrapper = textwrap.TextWrapper(
        WIDTH,
        initial_indent=prefix,
        subsequent_indent=prefix + hanging_indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n\n".join(wrapper.fill(paragraph) for paragraph in text.split("\n\n"))


def main(arguments: list[str]) -> int:
    """Write the pages, or check them; return the exit status."""
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        print(
            f"{path.relative_to(ROOT)} is not what the code says"
            if "--check" in arguments
            else f"wrote {path.relative_to(ROOT)}"
        )
        if "--check" not in arguments:
            path.write_text(pages()[path], encoding="utf-8")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
