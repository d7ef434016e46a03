# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook `preflight` over a namespace with several broken things: what an operator reads there."""

from __future__ import annotations

import typing as t

from support import stages

if t.TYPE_CHECKING:
    from support.play import Player
    from support.scene import Scene

PLAYBOOK = "meshops.canary.preflight"
REVIEWS = "reviews.{0}.svc.cluster.local"


def printed(scene: Scene, played: t.Any) -> dict[str, tuple[str, str]]:
    """Return `SEVERITY CODE: object` -> what was seen and what to do, from the lines that were printed."""
    found: dict[str, list[str]] = {}
    for line in played.task("Say what was found")["msg"]:
        if line.startswith(("ERROR ", "WARNING ", "NOTE ")):
            title = found.setdefault(line.replace(scene.namespace, "NS"), [])
        else:
            title.append(line)
    texts = {key: " ".join(" ".join(lines).split()) for key, lines in found.items()}
    return {key: tuple(text.partition("seen: ")[2].split(" do: ", 1)) for key, text in texts.items()}  # type: ignore[misc]


def test_everything_that_is_broken_is_told_with_object_reason_and_remedy(scene: Scene, play: Player) -> None:
    stages.second_claim(scene)
    stages.tcp_port(scene)
    stages.forgotten_sidecar(scene)
    stages.of_helm(scene)
    stages.equal_rule_elsewhere(scene)
    stages.gateway_without_versions(scene)
    scene.pod("reviews-v1-1", "reviews", "v1", ready=False)
    played = play(PLAYBOOK, ns=scene.namespace, service="reviews", fails=True)
    told = printed(scene, played)
    space, host = scene.namespace, REVIEWS.format(scene.namespace)
    wanted = {
        "ERROR HOST_CLAIMED_TWICE: VirtualService NS/reviews": (
            f"Both claim {host} for the mesh",
            f"kubectl -n {space} delete virtualservice",
        ),
        "ERROR PORT_NOT_HTTP: Service NS/reviews": ("is declared as tcp", f"kubectl -n {space} edit service reviews"),
        "ERROR CALLER_WITHOUT_SIDECAR: Namespace NS": ("Callers elsewhere were not looked at", "rollout restart"),
        "WARNING APPLIED_BY_TOOL: VirtualService NS/reviews": (
            "Helm applies it (release shop)",
            "up to date afterwards",
        ),
        "WARNING GATEWAY_NOT_COVERED: VirtualService NS/page": ("without a version", "name the versions too"),
        "WARNING SUBSET_SELECTS_NO_POD: DestinationRule NS/reviews": (
            "Subset v3 (version=v3) selects no pod",
            "normal",
        ),
    }
    for title, (reason, remedy) in wanted.items():
        assert title in told, f"{title} is not among {sorted(told)}"
        assert reason in told[title][0]
        assert remedy in told[title][1]
    assert all(len(words) == 2 and all(words) for words in told.values()), "one has no reason or no remedy"
    assert any(title.startswith("WARNING DESTINATION_RULE_ELSEWHERE: DestinationRule NS-x/") for title in told)
    failed = played.task("Fail if there is an error")["msg"]
    assert "HOST_CLAIMED_TWICE" in failed
    assert "PORT_NOT_HTTP" in failed


def test_what_is_forced_lets_the_play_go_on_and_is_still_told(scene: Scene, play: Player) -> None:
    stages.tcp_port(scene)
    played = play(PLAYBOOK, ns=scene.namespace, service="reviews", force=["PORT_NOT_HTTP"])
    assert any(title.startswith("ERROR PORT_NOT_HTTP") for title in printed(scene, played))
    assert played.changed == 0
