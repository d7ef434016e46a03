# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the pages that are made from the code; with --check only say whether they are up to date."""

from __future__ import annotations

import sys
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MADE = "<!-- Made from the code by docs/generate.py; edit that. -->"
SEVERITIES = {
    "error": "Writing modules refuse, and write nothing. `force: [CODE]` overrides it, one code at a time. Not\n"
    "where the table says *never*: there nothing can be planned, and naming the code in `force` is an error itself.",
    "warning": "Writing modules go on and say it.",
    "note": "Only `canary_info` and the playbook `preflight` say it.",
}
FOUND_BY = {
    "the change": "CAPACITY_BELOW_SHARE CAPACITY_NOT_YET CAPACITY_OF_COHORT COHORT_MATCH_UNANSWERABLE "
    "DELEGATE_MATCH_CONFLICT HOST_CLAIM_CONTESTED MIRROR_NOT_OURS STATE_UNREADABLE SUBSET_IN_USE SUBSET_LABELS_DIFFER",
    "`canary_replicas`": "CANARY_TEMPLATE_DIFFERS PRESTOP_MISSING PROMOTES_UNTESTED READINESS_PROBE_MISSING "
    "SESSION_AFFINITY UPDATE_ENDS_ALL_PODS UPDATE_SINKS_CAPACITY",
}
"""What preflight cannot find: it looks at a service as it is, and at Deployments only for their capacity."""
PLACES = {"service": "the service's namespace", "istio": "Istio's namespace", "cluster": "all namespaces"}


def pages() -> dict[Path, str]:
    """Return path -> text of every page."""
    sys.path.insert(0, str(ROOT))
    from plugins.module_utils.commands import needs
    from plugins.module_utils.findings import CATALOGUE

    return {
        ROOT / "docs" / "findings.md": findings_page(CATALOGUE),
        ROOT / "docs" / "rights.md": rights_page(needs),
    }


def findings_page(catalogue: t.Mapping[str, t.Any]) -> str:
    """Return the table of findings, by severity."""
    lines = [
        "# Findings",
        "",
        MADE,
        "",
        "What can be wrong with a canary, each with a stable code. `meshops.canary.preflight`, a playbook, looks for",
        "those that the tables say preflight finds, and prints for each the object, what was seen there, and what to",
        "do, with commands to copy. What only *the change* shows is found by the module that is about to make it, and",
        "what loses requests when pods are replaced by `canary_replicas`; in check mode too, which writes nothing.",
        "",
        "Writing modules look before each change, for what preflight finds as well. They judge only the versions a",
        "change gives more requests, so taking requests off a broken version is never refused.",
    ]
    for severity, meaning in SEVERITIES.items():
        lines += [
            "",
            f"## {severity.capitalize()}s",
            "",
            meaning,
            "",
            *_findings(severity, catalogue),
        ]
    return "\n".join(lines) + "\n"


def _findings(severity: str, catalogue: t.Mapping[str, t.Any]) -> list[str]:
    """Return the table of one severity; only errors have something to force."""
    errors = severity == "error"
    lines = [f"| code | what is wrong | found by |{' forced? |' if errors else ''} what to do |"]
    lines += ["| --- | --- | --- |" + (" --- |" if errors else "") + " --- |"]
    for code, kind in sorted(catalogue.items()):
        if kind.severity == severity:
            forced = (" yes |" if kind.forcible else " *never* |") if errors else ""
            by = next((who for who, codes in FOUND_BY.items() if code in codes.split()), "preflight")
            lines.append(f"| `{code}` | {kind.title} | {by} |{forced} {kind.remedy} |")
    return lines


def rights_page(needs: t.Any) -> str:
    """Return a Role for each thing people do, and the table of rights that add evidence or an option."""
    lines = [
        "# Rights",
        "",
        MADE,
        "",
        "What the modules ask the API server for: for each thing people do one complete Role of one namespace. The",
        "playbook `meshops.canary.preflight` asks for every right on this page and names those that are missing, each",
        "with what it is for.",
        "",
        "The roles `versions`, `autoscale` and `bookinfo` apply manifests with kubernetes.core: they need `get`,",
        "`list`, `create`, `patch` and `delete` on the kinds of these manifests. The role `rollout` without a mesh",
        "(`rollout_route_api: replicas`) needs two of the Roles below, Rollout and Replicas.",
    ]
    for role, words in needs.ROLES.items():
        lines += ["", f"## {role.capitalize()}", "", f"For {words}.", "", "```yaml", *_role(role, needs), "```"]
    lines += [
        "",
        "## For more",
        "",
        "Without these the modules work, with less evidence or without an option, and say so in their results. With",
        "`dead_man` whoever opens a rollout gives the Job rights on the record, the lock and the routing objects by",
        "name, and so must have them. Where Argo CD applies the routes, `list` on `applications` (API group",
        "argoproj.io) in all namespaces tells whether it undoes a change by itself; elsewhere nobody asks.",
        "",
        *_table([need for need in needs.NEEDS if not need.roles]),
    ]
    return "\n".join(lines) + "\n"


def _table(found: list[t.Any]) -> list[str]:
    lines = ["| verb | resource | API group | where | what for |", "| --- | --- | --- | --- | --- |"]
    return lines + [
        f"| {need.verb} | {need.name} | {need.resource.group or 'core'} | {PLACES[need.where]} | {need.what} |"
        for need in found
    ]


def _role(role: str, needs: t.Any) -> list[str]:
    verbs: dict[tuple[str, str], list[t.Any]] = {}
    for need in needs.of_role(role):
        verbs.setdefault((need.resource.group, need.name), []).append(need)
    lines = [
        "apiVersion: rbac.authorization.k8s.io/v1",
        "kind: Role",
        f"metadata: {{name: canary-{role}, namespace: bookinfo}}",
        "rules:",
    ]
    for (group, name), listed in verbs.items():
        lines.append(f"  # {'; '.join(dict.fromkeys(need.what for need in listed))}")
        told = ", ".join(need.verb for need in listed)
        lines.append(f'  - {{apiGroups: ["{group}"], resources: [{name}], verbs: [{told}]}}')
    return lines


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
