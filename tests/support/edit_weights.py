# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Set the weights of the VirtualService reviews as a person with kubectl would: KUBECONFIG NAMESPACE WEIGHTS."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.kube import Kube

ISTIO = "networking.istio.io/v1"


def main(kubeconfig: str, namespace: str, weights: dict[str, int]) -> None:
    kube = Kube(kubeconfig)
    found = kube.get(ISTIO, "VirtualService", "reviews", namespace)
    assert found
    http = found["spec"]["http"]
    http[-1]["route"] = [
        {"destination": {"host": "reviews", "subset": version}, "weight": weight} for version, weight in weights.items()
    ]
    kube.patch(ISTIO, "VirtualService", "reviews", namespace, {"spec": {"http": http}})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
