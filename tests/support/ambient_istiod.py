# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A second istiod in ambient mode, for one namespace, and an Envoy that connects to it as a waypoint.

The lab has no ztunnel, and the lab's Envoy lacks extensions of Istio's own that a waypoint needs, so it rejects the
listeners and no request goes through it. What istiod generates for the waypoint is real: istiod returns it in the form
of Envoy's /config_dump, and `config_dump` gives it to the collection in place of what that Envoy holds.
"""

from __future__ import annotations

import json
import re
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.meshops.canary.plugins.module_utils.mesh.proxies import Proxies, Proxy

    from .kube import Kube

Object = dict[str, t.Any]

GATEWAY_API = "gateway.networking.k8s.io/v1"
WAYPOINT = "waypoint"
POD = "waypoint-0"
ADMIN_PORT = 15000
IDLE = "{}"
"""Envoy's configuration for a pod that must only be ready."""
CLUSTER_ROLE = "istiod-clusterrole-istio-system"
SERVED_BY = "istio.io/rev"
"""Label with the name of the namespace: only the istiod in it reads the object."""
ENVIRONMENT = {
    "POD_NAME": "istiod",
    "CLUSTER_ID": "Kubernetes",
    "PILOT_ENABLE_AMBIENT": "true",
    # It serves configuration and changes nothing: no webhooks, no certificates, no status, no Deployments.
    "ENABLE_CA_SERVER": "false",
    "INJECT_ENABLED": "false",
    "VALIDATION_WEBHOOK_CONFIG_NAME": "",
    "INJECTION_WEBHOOK_CONFIG_NAME": "",
    "PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER": "false",
    "PILOT_ENABLE_GATEWAY_API_GATEWAYCLASS_CONTROLLER": "false",
    "PILOT_ENABLE_GATEWAY_API_STATUS": "false",
    "PILOT_ENABLE_IP_AUTOALLOCATE": "false",
}
_RESOURCES = {
    "dynamic_active_clusters": ("dynamic_active_clusters", "cluster"),
    "dynamic_endpoint_configs": ("dynamic_endpoint_configs", "endpoint_config"),
    "dynamic_listeners": ("dynamic_listeners", ""),
    "dynamic_route_configs": ("dynamic_route_configs", "route_config"),
}
"""`resource=` of /config_dump -> the list in the whole dump, and the part of an entry that has the name."""


class AmbientIstiod:
    """istiod, the waypoint's pod, its Gateway and a pod for each version of reviews, in one namespace."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self._kube, self.namespace = kube, namespace
        self.addresses = [{"type": "Hostname", "value": f"{WAYPOINT}.{namespace}.svc.cluster.local"}]

    def start(self) -> None:
        """Create everything and return when the pods are ready."""
        kube, namespace = self._kube, self.namespace
        kube.create_namespace(namespace, {"istio.io/dataplane-mode": "ambient"})
        pilot = self._image("app=istiod")
        self._envoy = self._image("app=istio-ingressgateway")
        kube.apply(*_rights(namespace), *_istiod(namespace, pilot), *self._services(), namespace=namespace)
        for version in ("v1", "v2"):
            labels = {"app": "reviews", "version": version}
            kube.apply(self._pod(f"reviews-{version}", labels, IDLE), namespace=namespace)
        kube.apply(_gateway(namespace), namespace=namespace)
        self.set_addresses(self.addresses)
        self._wait_ready("istiod")
        address = (kube.get("v1", "Pod", "istiod", namespace) or {})["status"]["podIP"]
        labels = {"gateway.networking.k8s.io/gateway-name": WAYPOINT, "gateway.istio.io/managed": MANAGED}
        kube.apply(self._pod(POD, labels, _bootstrap(namespace, address)), namespace=namespace)
        for name in ("reviews-v1", "reviews-v2", POD):
            self._wait_ready(name)

    def stop(self) -> None:
        """Delete everything; its removal is not waited for."""
        self._kube.delete("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", self.namespace)
        self._kube.delete_namespace(self.namespace)

    def set_addresses(self, addresses: Sequence[Object]) -> None:
        """Write the addresses of the waypoint's Gateway, as its controller does when a pod of it is ready."""
        path = f"/apis/{GATEWAY_API}/namespaces/{self.namespace}/gateways/{WAYPOINT}/status"
        body = {"status": {"addresses": list(addresses)}}
        self._kube.request("PATCH", path, body, content_type="application/merge-patch+json")

    def routed(self, *objects: Object) -> None:
        """Create or change objects that this istiod alone reads."""
        for one in objects:
            one["metadata"].setdefault("labels", {})[SERVED_BY] = self.namespace
        self._kube.apply(*objects, namespace=self.namespace)

    def _image(self, selector: str) -> str:
        pods = self._kube.list("v1", "Pod", "istio-system", selector=selector)
        return str(pods[0]["spec"]["containers"][0]["image"])

    def _pod(self, name: str, labels: dict[str, str], bootstrap: str) -> Object:
        container: Object = {
            "name": "envoy",
            "image": self._envoy,
            "imagePullPolicy": "IfNotPresent",
            "command": ["/usr/local/bin/envoy", "--config-yaml", bootstrap],
            "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        }
        if bootstrap != IDLE:  # ready when it has asked istiod for its clusters and listeners
            probe = {"httpGet": {"path": "/ready", "port": ADMIN_PORT}, "periodSeconds": 1}
            container["readinessProbe"] = probe
        metadata = {"name": name, "labels": labels, "annotations": {"ambient.istio.io/redirection": "enabled"}}
        spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    def _services(self) -> list[Object]:
        enrolled = {"istio.io/use-waypoint": WAYPOINT}
        own = {"gateway.istio.io/managed": MANAGED, "gateway.networking.k8s.io/gateway-name": WAYPOINT}
        http = {"name": "http", "port": 9080}
        mesh = {"name": "mesh", "port": 15008, "appProtocol": "hbone"}
        return [
            _service("reviews", {"app": "reviews"}, http, enrolled),
            _service("reviews-v1", {"app": "reviews", "version": "v1"}, http, enrolled),
            _service("reviews-v2", {"app": "reviews", "version": "v2"}, http, {}),
            _service(WAYPOINT, {"gateway.networking.k8s.io/gateway-name": WAYPOINT}, mesh, own),
        ]

    def _wait_ready(self, name: str) -> None:
        def ready() -> bool:
            pod = self._kube.get("v1", "Pod", name, self.namespace) or {}
            conditions = (pod.get("status") or {}).get("conditions") or ()
            return any((one["type"], one["status"]) == ("Ready", "True") for one in conditions)

        self._kube.wait_until(ready, 120, f"Pod {self.namespace}/{name} is ready")


MANAGED = "istio.io-mesh-controller"


def config_dump(client: Proxies, proxy: Proxy, kinds: Sequence[str], name_pattern: str = "") -> Object:
    """Return what istiod generates now for the proxy, as `Proxies.config_dump` returns what Envoy holds."""
    path = f"/debug/config_dump?proxyID={proxy.name}.{proxy.namespace}&include_eds"
    body = client._cluster.port_forward(proxy.namespace, "istiod", 15014, path)
    whole = _as_envoy_writes(json.loads(body))
    configs: list[Object] = []
    for kind in kinds:
        plural, part = _RESOURCES[kind]
        for entry in (entry for config in whole["configs"] for entry in config.get(plural) or ()):
            named = entry[part] if part else entry
            name = str(named.get("cluster_name") or named.get("name"))
            if not name_pattern or re.search(name_pattern, name):
                configs.append(entry)
    return {"configs": configs}


def _as_envoy_writes(value: t.Any) -> t.Any:
    """Return istiod's JSON with Envoy's names of fields: `filter_chains` for `filterChains`."""
    if isinstance(value, dict):
        return {_snake(name): _as_envoy_writes(one) for name, one in value.items()}
    return [_as_envoy_writes(one) for one in value] if isinstance(value, list) else value


def _snake(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-zA-Z0-9]*", name):
        return name  # a key of a map, such as the name of a filter
    return re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", name)


def _service(name: str, selector: dict[str, str], port: Object, labels: dict[str, str]) -> Object:
    spec = {"selector": selector, "ports": [port]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": labels}, "spec": spec}


def _gateway(namespace: str) -> Object:
    listener = {"name": "mesh", "port": 15008, "protocol": "HBONE"}
    return {
        "apiVersion": GATEWAY_API,
        "kind": "Gateway",
        "metadata": {"name": WAYPOINT, "labels": {"istio.io/waypoint-for": "service", SERVED_BY: namespace}},
        "spec": {"gatewayClassName": "istio-waypoint", "listeners": [listener]},
    }


def _rights(namespace: str) -> list[Object]:
    api = "rbac.authorization.k8s.io/v1"
    subjects = [{"kind": "ServiceAccount", "name": "istiod", "namespace": namespace}]
    roles = {"ClusterRoleBinding": (namespace, CLUSTER_ROLE), "RoleBinding": ("istiod", "admin")}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "istiod"}},
        *(
            {
                "apiVersion": api,
                "kind": kind,
                "metadata": {"name": name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": subjects,
            }
            for kind, (name, role) in roles.items()
        ),
    ]


def _istiod(namespace: str, image: str) -> list[Object]:
    mesh = {
        "rootNamespace": namespace,
        "trustDomain": "cluster.local",
        "discoverySelectors": [{"matchLabels": {"kubernetes.io/metadata.name": namespace}}],
    }
    environment = {**ENVIRONMENT, "POD_NAMESPACE": namespace, "REVISION": namespace}
    container = {
        "name": "discovery",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["discovery", "--monitoringAddr=:15014", "--grpcAddr=:15010", "--meshConfig=/etc/mesh/mesh"],
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "volumeMounts": [{"name": "mesh", "mountPath": "/etc/mesh"}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1},
    }
    spec = {
        "serviceAccountName": "istiod",
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [{"name": "mesh", "configMap": {"name": "mesh"}}],
    }
    metadata = {"name": "istiod", "labels": {"app": "istiod", SERVED_BY: namespace}}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mesh"}, "data": {"mesh": json.dumps(mesh)}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
    ]


def _bootstrap(namespace: str, istiod: str) -> str:
    """Return Envoy's bootstrap: connect to istiod without certificates, as pilot-agent does for a waypoint."""
    metadata = {
        "NAMESPACE": namespace,
        "CLUSTER_ID": "Kubernetes",
        "LABELS": {"gateway.networking.k8s.io/gateway-name": WAYPOINT},
    }
    address = {"socket_address": {"address": istiod, "port_value": 15010}}
    protocol = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    http2 = {"@type": f"type.googleapis.com/{protocol}", "explicit_http_config": {"http2_protocol_options": {}}}
    xds = {
        "name": "xds",
        "connect_timeout": "5s",
        "typed_extension_protocol_options": {protocol: http2},
        "load_assignment": {
            "cluster_name": "xds",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }
    ads = {"ads": {}, "initial_fetch_timeout": "5s", "resource_api_version": "V3"}
    return json.dumps(
        {
            "node": {
                "id": f"waypoint~$(POD_IP)~{POD}.{namespace}~{namespace}.svc.cluster.local",
                "cluster": WAYPOINT,
                "metadata": metadata,
            },
            "admin": {"address": {"socket_address": {"address": "0.0.0.0", "port_value": ADMIN_PORT}}},
            "static_resources": {"clusters": [xds]},
            "dynamic_resources": {
                "ads_config": {
                    "api_type": "GRPC",
                    "transport_api_version": "V3",
                    "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
                },
                "cds_config": ads,
                "lds_config": ads,
            },
        }
    )
