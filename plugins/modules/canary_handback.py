#!/usr/bin/python
# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: canary_handback
short_description: Write the state of a service after a rollout into the files of a Git checkout
version_added: 1.0.0
author:
  - The meshops.canary authors (@meshops)
description:
  - For services whose objects Argo CD or Flux applies from Git. After a rollout the cluster has another state than Git. This module writes it into the
    files, as a commit on a branch, and later gives the objects back to the tool.
  - Written are the weights and destinations of VirtualServices, HTTPRoutes and GRPCRoutes, the subsets of DestinationRules, the images and C(replicas) of
    Deployments that have no autoscaler, and C(minReplicas) of autoscalers. Everything else in the files stays as it is, also comments, quotes, indentation
    and line ends. C(replicas) is written only where the file has it.
  - All files change in one commit, or none. Running it again changes nothing. It never pushes.
options:
  state:
    description:
      - V(committed) writes the commit. The work tree is not touched, unless O(branch) is the branch that is checked out.
      - V(released) resumes the tools that O(meshops.canary.canary_rollout#module:pause_gitops) paused, and removes the field manager of this collection
        from the fields that Git owns. With O(repository) it first checks that the commit that is checked out has the state of the cluster.
    type: str
    choices: [committed, released]
    default: committed
  repository:
    description: Directory of a Git checkout on the host that runs the task. Required if O(state=committed).
    type: path
  branch:
    description:
      - Branch for the commit. A new one begins at the commit that is checked out, and so does one that is merged there. Required if O(state=committed).
      - The branch that is checked out is moved only if it is named here. A checkout with changes that are not committed is refused.
    type: str
    default: ""
  files:
    description:
      - Manifests, relative to the top of the checkout, or directories, of which all files that end with C(.yaml), C(.yml) or C(.json) are read.
      - Name the files of one environment. An object with two manifests in them is refused. A patch of Kustomize is edited like a manifest, also one
        in C(patches) of a Kustomization; JSON patches of the same fields, and templates of Helm, are refused.
    type: list
    elements: str
    default: []
  helm_values:
    description: Values of a Helm chart that get a part of the state.
    type: list
    elements: dict
    default: []
    suboptions:
      file:
        description: The file with the values, relative to the top of the checkout.
        type: str
        required: true
      key:
        description: The value, as its keys with dots between them, such as C(reviews.v2.weight). It must exist.
        type: str
        required: true
      version:
        description: The version that the value is of, or the name of a Deployment.
        type: str
        required: true
      field:
        description: >-
          What the value gets, V(weight) in percent of the requests, V(replicas), V(min_replicas) of the autoscaler, or V(image) of the first container,
          whole or as its V(repository) and V(tag).
        type: str
        required: true
        choices: [weight, replicas, min_replicas, image, repository, tag]
  commit_message:
    description: Message of the commit. Default names the service.
    type: str
    default: ""
extends_documentation_fragment:
  - meshops.canary.connection
  - meshops.canary.attributes
  - meshops.canary.service
  - meshops.canary.service.by_pods
attributes:
  check_mode:
    support: full
    details:
      - Everything is read and decided; no commit is made, and no object is changed.
  diff_mode:
    support: full
    details:
      - The changes of the files are displayed as a unified diff.
  idempotent:
    support: full
seealso:
  - module: meshops.canary.canary_rollout
"""

EXAMPLES = r"""
- name: Commit the new weights to a branch
  meshops.canary.canary_handback:
    service: reviews
    namespace: bookinfo
    repository: ~/src/apps
    branch: canary/reviews
    files: [bookinfo/reviews.yaml, bookinfo/routing]

- name: Write the weights into the values of a Helm chart
  meshops.canary.canary_handback:
    service: reviews
    namespace: bookinfo
    repository: ~/src/apps
    branch: canary/reviews
    helm_values:
      - {file: charts/reviews/values.yaml, key: weights.v1, version: v1, field: weight}
      - {file: charts/reviews/values.yaml, key: weights.v2, version: v2, field: weight}

- name: Let the tool apply the objects again, after the branch is merged and pulled
  meshops.canary.canary_handback:
    state: released
    service: reviews
    namespace: bookinfo
    repository: ~/src/apps
    files: [bookinfo/reviews.yaml, bookinfo/routing]
"""

RETURN = r"""
msg:
  description: Summary of the result in one sentence, or the reason for the failure.
  returned: always
  type: str
  sample: "bookinfo/reviews: 1 files are committed to canary/reviews (0a1b2c3d4e5f). Push it, and merge it."
service:
  description: Name of the service.
  returned: success
  type: str
  sample: reviews
namespace:
  description: Namespace of the service.
  returned: success
  type: str
  sample: bookinfo
state:
  description: The O(state).
  returned: success
  type: str
  sample: committed
commit:
  description: The commit that was made, empty if there was nothing to commit, and in check mode.
  returned: success
  type: str
  sample: 0a1b2c3d4e5f60718293a4b5c6d7e8f901234567
branch:
  description: The branch of the commit.
  returned: success
  type: str
  sample: canary/reviews
files:
  description: The files that changed, or would change in check mode.
  returned: success
  type: list
  elements: str
  sample: [bookinfo/reviews.yaml]
manifests:
  description: The file in which the manifest of each object was found, by the object.
  returned: success
  type: dict
  sample: {"VirtualService bookinfo/reviews": bookinfo/reviews.yaml}
diff:
  description: The changes of the files as a unified diff, or of the objects as text.
  returned: success
  type: dict
  contains:
    prepared: {description: The unified diff., type: str}
    before: {description: "Before, for O(state=released).", type: str}
    after: {description: "After, for O(state=released).", type: str}
api_requests:
  description: Number of requests sent to the API server, by method.
  returned: success
  type: dict
  sample: {get: 9, patch: 0, post: 0, delete: 0}
findings:
  description: Problems that were found.
  returned: when refused
  type: list
  elements: dict
error_code:
  description: "Category of the failure: V(invalid_input), V(refused), V(conflict) or V(api_error)."
  returned: failure
  type: str
  sample: refused
"""

from ansible_collections.meshops.canary.plugins.module_utils.commands import handback
from ansible_collections.meshops.canary.plugins.module_utils.task import entry


def main() -> None:
    """Run the command as a module."""
    entry.main(handback)


if __name__ == "__main__":
    main()
