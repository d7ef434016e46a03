# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This fragment is PRIVATE to the collection; it may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  prometheus_url:
    description:
      - Address of Prometheus, or of anything with its HTTP API, as C(http://prometheus.example.com:9090), with the path
        below which C(api/v1/query) is found.
      - It must be reachable from where the task runs. Through the API server its address is
        C(https://APISERVER/api/v1/namespaces/monitoring/services/prometheus:9090/proxy), with the user's bearer token
        as O(prometheus_token) and the cluster's authority as O(prometheus_ca_cert).
    type: str
  prometheus_token:
    description: Bearer token.
    type: str
  prometheus_username:
    description: User for basic authentication.
    type: str
  prometheus_password:
    description: Password for basic authentication.
    type: str
  prometheus_ca_cert:
    description: File with the certificate authorities to trust.
    type: path
  prometheus_validate_certs:
    description: Whether to check the server's certificate.
    type: bool
    default: true
  prometheus_timeout:
    description: Seconds to wait for each answer.
    type: float
    default: 10.0
  prometheus_headers:
    description:
      - Further headers of each request, such as C(X-Scope-OrgID). The value of a header whose name indicates a secret, such as
        C(Authorization) or C(X-Api-Key), is hidden in results.
    type: dict
  prometheus_labels:
    description:
      - Labels and values that Istio's metrics must have to be counted. Needed if one Prometheus
        has several clusters, or each proxy twice (two jobs, two replicas); then the notes say so.
      - They have no effect on your own queries.
    type: dict
"""
