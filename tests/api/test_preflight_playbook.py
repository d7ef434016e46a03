# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook `preflight` over a namespace with several broken things: what an operator reads there."""

from __future__ import annotations

import typing as t

from support import finding_causes as causes

if t.TYPE_CHECKING:
    from support.play import Player
    from support.simulated_service import SimulatedService

PLAYBOOK = "meshops.canary.preflight"
REVIEWS = "reviews.{0}.svc.cluster.local"


def printed(simulated: SimulatedService, played: t.Any) -> dict[str, tuple[str, str]]:
    """Return `SEVERITY CODE: object` -> what was seen and what to do, from the lines that were printed."""
    found: dict[str, list[str]] = {}
    for line in played.task("Display the findings")["msg"]:
        if line.startswith(("ERROR ", "WARNING ", "NOTE ")):
            title = found.setdefault(line.replace(simulated.namespace, "NS"), [])
        else:
            title.append(line)
    texts = {key: " ".join(" ".join(lines).split()) for key, lines in found.items()}
    return {key: tuple(text.partition("reason: ")[2].split(" fix: ", 1)) for key, text in texts.items()}  # type: ignore[misc]


def test_every_finding_is_printed_with_object_reason_and_remedy(simulated: SimulatedService, play: Player) -> None:
    causes.second_claim(simulated)
    causes.tcp_port(simulated)
    causes.forgotten_sidecar(simulated)
    causes.of_helm(simulated)
    causes.equal_rule_elsewhere(simulated)
    causes.gateway_without_versions(simulated)
    simulated.pod("reviews-v1-1", "reviews", "v1", ready=False)
    played = play(PLAYBOOK, ns=simulated.namespace, service="reviews", fails=True)
    findings = printed(simulated, played)
    space, host = simulated.namespace, REVIEWS.format(simulated.namespace)
    wanted = {
        "ERROR HOST_CLAIMED_TWICE: VirtualService NS/reviews": (
            f"Both claim {host} for the mesh",
            f"kubectl -n {space} delete virtualservice",
        ),
        "ERROR PORT_NOT_HTTP: Service NS/reviews": ("is declared as tcp", f"kubectl -n {space} edit service reviews"),
        "ERROR CALLER_WITHOUT_SIDECAR: Namespace NS": (
            "Callers in other namespaces were not checked",
            "rollout restart",
        ),
        "WARNING APPLIED_BY_TOOL: VirtualService NS/reviews": (
            "Helm applies it (release shop)",
            "Update the manifest afterwards",
        ),
        "WARNING GATEWAY_NOT_COVERED: VirtualService NS/page": ("without a version", "Add the versions to the route"),
        "WARNING SUBSET_SELECTS_NO_POD: DestinationRule NS/reviews": (
            "Subset v3 (version=v3) selects no pod",
            "normal",
        ),
    }
    for title, (reason, remedy) in wanted.items():
        assert title in findings, f"{title} is not among {sorted(findings)}"
        assert reason in findings[title][0]
        assert remedy in findings[title][1]
    assert all(len(words) == 2 and all(words) for words in findings.values()), "one has no reason or no remedy"
    rule = f"DestinationRule {simulated.elsewhere}/reviews.NS.svc.cluster.local"
    assert f"WARNING DESTINATION_RULE_ELSEWHERE: {rule}" in findings
    failed = played.task("Fail on errors")["msg"]
    assert "HOST_CLAIMED_TWICE" in failed
    assert "PORT_NOT_HTTP" in failed


def test_a_forced_finding_is_printed_and_does_not_fail_the_play(simulated: SimulatedService, play: Player) -> None:
    causes.tcp_port(simulated)
    played = play(PLAYBOOK, ns=simulated.namespace, service="reviews", force=["PORT_NOT_HTTP"])
    assert any(title.startswith("ERROR PORT_NOT_HTTP") for title in printed(simulated, played))
    assert played.changed == 0
