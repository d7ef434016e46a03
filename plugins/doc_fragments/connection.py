# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This fragment is PRIVATE to the collection; it may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - Path of a kubeconfig, several paths joined by V(:), or the content of one as a dictionary.
      - Credentials inside a dictionary are hidden in all output.
      - Without O(kubeconfig), O(context) and O(host) the service account of the pod is used where there is one,
        else E(KUBECONFIG), else C(~/.kube/config).
      - Also taken from E(K8S_AUTH_KUBECONFIG).
    type: raw
  context:
    description:
      - Name of the context to use from the kubeconfig instead of its current one.
      - Also taken from E(K8S_AUTH_CONTEXT).
    type: str
  host:
    description:
      - URL of the API server, with its scheme.
      - Together with O(api_key), with O(username) and O(password), or with O(client_cert) and O(client_key)
        no kubeconfig is read.
      - Also taken from E(K8S_AUTH_HOST).
    type: str
  api_key:
    description:
      - Bearer token.
      - Also taken from E(K8S_AUTH_API_KEY).
    type: str
  username:
    description:
      - User name for basic authentication, which only some API servers or proxies before them accept.
      - Also taken from E(K8S_AUTH_USERNAME).
    type: str
  password:
    description:
      - Password for O(username).
      - Also taken from E(K8S_AUTH_PASSWORD).
    type: str
  client_cert:
    description:
      - Path of the client certificate.
      - Also taken from E(K8S_AUTH_CLIENT_CERT) or E(K8S_AUTH_CERT_FILE).
    type: path
    aliases: [cert_file]
  client_key:
    description:
      - Path of the key that belongs to O(client_cert).
      - Also taken from E(K8S_AUTH_CLIENT_KEY) or E(K8S_AUTH_KEY_FILE).
    type: path
    aliases: [key_file]
  ca_cert:
    description:
      - Path of the authority's certificate that the API server's certificate is checked with.
      - Also taken from E(K8S_AUTH_CA_CERT) or E(K8S_AUTH_SSL_CA_CERT).
    type: path
    aliases: [ssl_ca_cert]
  validate_certs:
    description:
      - Whether the API server's certificate must be valid. Without it, as the kubeconfig says, else yes.
      - Also taken from E(K8S_AUTH_VALIDATE_CERTS) or E(K8S_AUTH_VERIFY_SSL); everything but V(0), V(false) and V(no)
        means yes there.
    type: bool
    aliases: [verify_ssl]
  proxy:
    description:
      - URL of the HTTP proxy to the API server. Without it C(proxy-url) of the kubeconfig counts.
      - Also taken from E(K8S_AUTH_PROXY).
    type: str
  no_proxy:
    description:
      - Hosts, domains and networks that are reached without O(proxy), separated by commas.
      - Also taken from E(K8S_AUTH_NO_PROXY).
    type: str
  proxy_headers:
    description: Headers for the proxy.
    type: dict
    suboptions:
      proxy_basic_auth:
        description:
          - C(user:password) for the proxy.
          - Also taken from E(K8S_AUTH_PROXY_HEADERS_PROXY_BASIC_AUTH).
        type: str
      basic_auth:
        description:
          - C(user:password) for basic authentication.
          - Also taken from E(K8S_AUTH_PROXY_HEADERS_BASIC_AUTH).
        type: str
      user_agent:
        description:
          - The C(User-Agent) the proxy sees.
          - Also taken from E(K8S_AUTH_PROXY_HEADERS_USER_AGENT).
        type: str
  persist_config:
    description:
      - Whether a token that was refreshed is saved in the kubeconfig.
      - Also taken from E(K8S_AUTH_PERSIST_CONFIG).
    type: bool
  impersonate_user:
    description:
      - User to act as; the right C(impersonate) is needed.
      - Also taken from E(K8S_AUTH_IMPERSONATE_USER).
    type: str
  impersonate_groups:
    description:
      - Groups to act as, together with O(impersonate_user).
      - Also taken from E(K8S_AUTH_IMPERSONATE_GROUPS), separated by commas.
    type: list
    elements: str
requirements:
  - kubernetes >= 29.0.0 (Python library, where the task runs)
notes:
  - With a local connection the work is done inside the Ansible process, without starting Python for every task; this
    needs the kubernetes library in the Python of ansible-core. Set E(CANARY_IN_PROCESS) or the variable
    C(canary_in_process) to V(false) to run an ordinary module instead. The results are the same.
"""
