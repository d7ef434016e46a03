# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The final state goes into files as users have them: only the values change, and what cannot be edited is refused."""

from __future__ import annotations

import copy
import typing as t

import pytest
import yaml
from ansible_collections.meshops.canary.plugins.module_utils.errors import CanaryError
from ansible_collections.meshops.canary.plugins.module_utils.manifests.manifest_files import Value, handback

if t.TYPE_CHECKING:
    Object = dict[str, t.Any]

ROUTED = """\
# routes of the shop
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
    name: reviews   # the name
spec:
    hosts:
    - reviews
    http:
    -   name: "all"
        timeout: 7s
        route:
        # the stable one
        -   destination: {host: reviews, subset: v1}
            weight: 100  # percent
        -   destination:
                host: 'reviews'
                subset: v2

            weight: 0
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: reviews-v2, namespace: shop}
spec:
  replicas: 1
  selector: {matchLabels: {app: reviews}}
  template:
    spec:
      containers:
        - name: proxy
          image: "proxy:1"
        - name: app
          image: 'shop/reviews:1.10'   # {"$imagepolicy": "flux-system:reviews"}
"""


def live_route(**weights: int) -> Object:
    route = [
        {"destination": {"host": "reviews", "subset": version}, "weight": weight} for version, weight in weights.items()
    ]
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "reviews", "namespace": "shop"},
        "spec": {"hosts": ["reviews"], "http": [{"name": "all", "timeout": "7s", "route": route}]},
    }


def live_deployment(replicas: int = 3, image: str = "shop/reviews:1.11") -> Object:
    containers = [{"name": "app", "image": image}, {"name": "proxy", "image": "proxy:1"}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "reviews-v2", "namespace": "shop"},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": containers}}},
    }


def written(files: dict[str, str], *objects: Object, **more: t.Any) -> dict[str, str]:
    return handback(files, objects, **more).contents


def refused(files: dict[str, str], *objects: Object, **more: t.Any) -> str:
    with pytest.raises(CanaryError) as caught:
        handback(files, objects, **more)
    return caught.value.msg


def test_only_the_weights_change() -> None:
    expected = ROUTED.replace("weight: 100  # percent", "weight: 25  # percent").replace("weight: 0", "weight: 75")
    assert written({"a.yaml": ROUTED}, live_route(v1=25, v2=75)) == {"a.yaml": expected}


def test_a_second_time_nothing_changes() -> None:
    first = written({"a.yaml": ROUTED}, live_route(v2=100))
    assert written(first, live_route(v2=100)) == {}


def test_a_destination_that_is_gone_goes_from_the_file() -> None:
    text = written({"a.yaml": ROUTED}, live_route(v2=100))["a.yaml"]
    assert text == ROUTED.replace(
        "        -   destination: {host: reviews, subset: v1}\n            weight: 100  # percent\n", ""
    ).replace("weight: 0", "weight: 100")


def test_a_new_destination_is_added_behind_the_others() -> None:
    text = written({"a.yaml": ROUTED}, live_route(v1=80, v2=0, v3=20))["a.yaml"]
    assert text.startswith(ROUTED.replace("weight: 100", "weight: 80").rstrip("\n"))
    assert yaml.safe_load(text)["spec"]["http"] == live_route(v1=80, v2=0, v3=20)["spec"]["http"]


def test_the_order_of_the_file_stays() -> None:
    text = written({"a.yaml": ROUTED}, live_route(v2=75, v1=25))["a.yaml"]
    assert text.index("weight: 25") < text.index("weight: 75")


@pytest.mark.parametrize("ending", ["\r\n", "\n"], ids=["CRLF", "LF"])
@pytest.mark.parametrize("last", [True, False], ids=["with a last line end", "without"])
def test_line_ends_stay(ending: str, last: bool) -> None:
    text = ROUTED.replace("\n", ending)
    text = text if last else text.rstrip("\r\n")
    for weights in ({"v1": 25, "v2": 75}, {"v2": 100}, {"v1": 80, "v2": 0, "v3": 20}):
        found = written({"a.yaml": text}, live_route(**weights))["a.yaml"]
        assert ("\r\n" in found) == (ending == "\r\n")
        assert found.replace("\r\n", "").count("\n") == (0 if ending == "\r\n" else found.count("\n"))
        assert found.endswith(ending) == last
        assert yaml.safe_load(found)["spec"]["http"][0]["route"] == live_route(**weights)["spec"]["http"][0]["route"]


def test_the_first_destination_can_go_and_the_last() -> None:
    for weights in ({"v1": 100}, {"v2": 100}):
        found = written({"a.yaml": ROUTED.rstrip("\n")}, live_route(**weights))["a.yaml"]
        assert yaml.safe_load(found)["spec"]["http"][0]["route"] == live_route(**weights)["spec"]["http"][0]["route"]


def test_image_and_replicas_change_beside_other_documents() -> None:
    text = f"---\n{ROUTED}---\n# nothing\n---\n{DEPLOYMENT}"
    found = written({"all.yml": text}, live_route(v1=0, v2=100), live_deployment())["all.yml"]
    assert 'image: \'shop/reviews:1.11\'   # {"$imagepolicy": "flux-system:reviews"}' in found
    assert "replicas: 3" in found
    assert "weight: 0  # percent" in found
    assert len(found.splitlines()) == len(text.splitlines())


def test_an_autoscaler_owns_the_number_of_pods() -> None:
    assert (
        written(
            {"a.yaml": DEPLOYMENT}, live_deployment(image="shop/reviews:1.10"), scaled=["Deployment shop/reviews-v2"]
        )
        == {}
    )


def test_replicas_that_git_does_not_have_are_not_added() -> None:
    text = DEPLOYMENT.replace("  replicas: 1\n", "")
    assert "replicas" not in written({"a.yaml": text}, live_deployment())["a.yaml"]


@pytest.mark.parametrize(
    ("spec", "minimum", "expected"),
    [
        ("  minReplicas: 2 # at night\n  maxReplicas: 5\n", 3, "  minReplicas: 3 # at night\n  maxReplicas: 5\n"),
        ("  maxReplicas: 5 # most\n", 3, "  maxReplicas: 5 # most\n  minReplicas: 3\n"),
        ("  maxReplicas: 5\n", 1, ""),
    ],
)
def test_min_replicas(spec: str, minimum: int, expected: str) -> None:
    head = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata:\n  name: reviews\nspec:\n"
    live = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "reviews", "namespace": "shop"},
        "spec": {"minReplicas": minimum, "maxReplicas": 5},
    }
    assert written({"a.yaml": head + spec}, live) == ({"a.yaml": head + expected} if expected else {})


def test_subsets_are_added_and_removed() -> None:
    head = "apiVersion: networking.istio.io/v1beta1\nkind: DestinationRule\nmetadata:\n  name: reviews\nspec:\n"
    text = head + "  host: reviews\n  subsets:\n  - name: v1 # old\n    labels: {version: v1}\n  trafficPolicy: {}\n"
    live = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "reviews", "namespace": "shop"},
        "spec": {"subsets": [{"name": name, "labels": {"version": name}} for name in ("v1", "v2")]},
    }
    assert written({"a.yaml": text}, live)["a.yaml"] == text.replace(
        "    labels: {version: v1}\n", "    labels: {version: v1}\n  - name: v2\n    labels:\n      version: v2\n"
    )


def test_an_http_route_without_the_defaults_of_the_api_server() -> None:
    head = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: reviews\nspec:\n  rules:\n"
    text = head + "  - backendRefs:\n    - name: reviews-v1\n      port: 80\n"
    full = {"group": "", "kind": "Service", "port": 80}
    refs = [{**full, "name": "reviews-v1", "weight": 90}, {**full, "name": "reviews-v2", "weight": 10}]
    live = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "reviews", "namespace": "shop"},
        "spec": {"rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": refs}]},
    }
    assert yaml.safe_load(written({"a.yaml": text}, live)["a.yaml"])["spec"]["rules"] == [
        {
            "backendRefs": [
                {"name": "reviews-v1", "port": 80, "weight": 90},
                {"name": "reviews-v2", "port": 80, "weight": 10},
            ]
        }
    ]


def test_json_with_tabs() -> None:
    text = (
        '{\n\t"apiVersion": "networking.istio.io/v1",\n\t"kind": "VirtualService",\n\t"metadata": {"name": "reviews"},'
        '\n\t"spec": {"http": [{"name": "all", "route": [{"destination": {"host": "reviews", "subset": "v1"},'
        ' "weight": 100}]}]}\n}'
    )
    assert written({"a.json": text}, live_route(v1=90, v2=10))["a.json"] == text.replace(
        '[{"destination": {"host": "reviews", "subset": "v1"}, "weight": 100}]',
        '[{"destination": {"host": "reviews", "subset": "v1"}, "weight": 90},'
        ' {"destination": {"host": "reviews", "subset": "v2"}, "weight": 10}]',
    )


def test_the_patch_of_an_overlay_is_a_manifest() -> None:
    patch = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: reviews-v2\nspec:\n  replicas: 1 # here\n"
    assert written({"overlay/p.yaml": patch}, live_deployment())["overlay/p.yaml"] == patch.replace(
        "1 # here", "3 # here"
    )


@pytest.mark.parametrize("header", ["|-", "|"])
def test_inline_patches_of_a_kustomization(header: str) -> None:
    inner = "".join(f"      {line}\n" if line else "\n" for line in ROUTED.rstrip("\n").split("\n"))
    text = (
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
        f"patches:\n  # weights\n  - patch: {header}\n"
        f"{inner}    target: {{kind: VirtualService}}\nresources: [../base]\n"
    )
    assert written({"k.yaml": text}, live_route(v1=25, v2=75))["k.yaml"] == text.replace(
        "weight: 100  # percent", "weight: 25  # percent"
    ).replace("weight: 0", "weight: 75")


def test_a_list_of_objects_and_a_copy_in_it() -> None:
    item = "\n".join(f"  {line}" if line else "" for line in DEPLOYMENT.rstrip("\n").split("\n"))
    text = f"apiVersion: v1\nkind: List\nitems:\n- {item.strip()}\n"
    assert "replicas: 3" in written({"a.yaml": text}, live_deployment())["a.yaml"]


def test_a_merge_is_overridden_and_an_anchor_refused() -> None:
    head = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: reviews-v2}\n"
    merged = head + "base: &base {replicas: 1}\nspec:\n  <<: *base\n  paused: false\n"
    assert written({"a.yaml": merged}, live_deployment())["a.yaml"] == merged + "  replicas: 3\n"
    shared = head + "n: &n 1\nspec:\n  replicas: *n\n"
    message = refused({"a.yaml": shared}, live_deployment())
    assert message.startswith(
        "a.yaml: Deployment shop/reviews-v2 cannot be edited: line 4: the value belongs to an anchor"
    )
    assert "by hand" in message


def test_values_of_a_chart() -> None:
    text = (
        '# shop\nreviews:\n  versions:\n    - name: v1\n      weight: 100\n    - {name: v2, weight: 0, tag: "1.10"}\n'
    )
    values = [
        Value("values.yaml", "reviews.versions.0.weight", 0, "weight of v1"),
        Value("values.yaml", "reviews.versions.1.weight", 100, "weight of v2"),
        Value("values.yaml", "reviews.versions.1.tag", "1.11", "tag of v2"),
    ]
    found = handback({"values.yaml": text}, [live_route(v2=100)], values=values)
    assert found.contents["values.yaml"] == (
        '# shop\nreviews:\n  versions:\n    - name: v1\n      weight: 0\n    - {name: v2, weight: 100, tag: "1.11"}\n'
    )
    assert handback(found.contents, [live_route(v2=100)], values=values).contents == {}
    missing = Value("values.yaml", "reviews.canary.weight", 1, "weight of v2")
    assert "has no key reviews.canary.weight" in refused({"values.yaml": text}, values=[missing])
    assert "is no single value" in refused({"values.yaml": text}, values=[Value("values.yaml", "reviews", 1, "")])


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a.yaml": ROUTED, "b.yaml": ROUTED}, ["has 2 manifests", "a.yaml, b.yaml"]),
        (
            {"t/vs.yaml": ROUTED.replace("100", "{{ .Values.weight }}")},
            ["t/vs.yaml is a template of Helm", "helm_values"],
        ),
        ({"t/vs.yaml": ROUTED.replace("100", '"{{ .Values.weight }}"')}, ["is a template of Helm", "helm_values"]),
        ({"a.yaml": DEPLOYMENT}, ["VirtualService shop/reviews has no manifest", "files"]),
        ({"a.yaml": ROUTED.replace("http:", "http: [")}, ["a.yaml cannot be read as YAML: line"]),
        ({"a.yaml": ROUTED.replace("name: reviews", "namespace: other\n    name: reviews")}, ["has no manifest"]),
        ({"a.yaml": ROUTED[: ROUTED.index("    http:")]}, ["without its routes"]),
        (
            {
                "k.yaml": "patches:\n- target: {kind: VirtualService, name: reviews}\n  patch: |-\n    - op: replace\n"
                "      path: /spec/http/0/route/0/weight\n      value: 1\n"
            },
            ["JSON patch", "strategic merge patch"],
        ),
        ({"k.yaml": "kind: K\nbad: !secret x\n"}, ["has no manifest"]),
        (
            {"a.yaml": ROUTED.replace("        route:", "        route: &r").replace("hosts:", "x: *r\n    hosts:")},
            ["cannot"],
        ),
        (
            {"a.yaml": ROUTED.replace("            weight: 0", "            weight: 0\n            weight: 1")},
            ["the key weight occurs more than once"],
        ),
    ],
    ids=lambda value: "",
)
def test_what_cannot_be_edited_is_refused(files: dict[str, str], words: list[str]) -> None:
    message = refused(files, live_route(v1=25, v2=75))
    assert all(word in message for word in words), message


def test_other_routes_are_written_anew_and_said() -> None:
    live = live_route(v1=0, v2=100)
    live["spec"]["http"].insert(
        0, {"match": [{"headers": {"end-user": {"exact": "a"}}}], "route": [{"destination": {"host": "x"}}]}
    )
    found = handback({"a.yaml": ROUTED}, [live])
    assert yaml.safe_load(found.contents["a.yaml"])["spec"]["http"] == live["spec"]["http"]
    assert any("other routes" in one for one in found.notes)
    assert any("comments in it are gone" in one for one in found.notes)


def test_unknown_kinds_in_the_files_are_left_alone() -> None:
    others = (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: reviews}\ndata: {weight: '100'}\n---\njust text\n---\n- 1\n"
    )
    found = handback({"a.yaml": ROUTED, "b.yaml": others, "empty.yaml": ""}, [live_route(v1=1, v2=99)])
    assert list(found.contents) == ["a.yaml"]
    assert found.found == {"VirtualService shop/reviews": "a.yaml"}


def test_nothing_is_changed_in_the_given_objects() -> None:
    live = live_route(v1=1, v2=99)
    before = copy.deepcopy(live)
    handback({"a.yaml": ROUTED}, [live])
    assert live == before
