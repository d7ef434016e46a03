# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stand-in for the API of AWX: it keeps objects, and refuses what AWX refuses of job templates, surveys and nodes.

The rules are those of ansible/awx: `_validate_spec_data` of awx/api/views (surveys), `valid_playbook_re` of
awx/main/utils/ansible.py (which files of a project are playbooks), `JobTemplateCredentialsList` (one credential of a
type), and that a node gives a job template only what it asks for.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import typing as t
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

API = "/api/v2/"
IS_PLAYBOOK = re.compile(r"^\s*?-?\s*?(?:hosts|include|import_playbook):\s*?.*?$", re.M)
TYPES: dict[str, type] = {
    **dict.fromkeys(("text", "textarea", "password", "multiplechoice", "multiselect"), str),
    "integer": int,
    "float": float,
}
ENDPOINTS = (
    *("organizations", "credential_types", "credentials", "notification_templates", "execution_environments"),
    *("projects", "inventories", "inventory_sources", "job_templates", "workflow_job_templates"),
    *("workflow_job_template_nodes", "workflow_approval_templates", "teams", "labels"),
)
Object = dict[str, t.Any]
FILLED: dict[str, Object] = {"projects": {"scm_revision": "0" * 40}}
"""What AWX adds to an object."""


class RefusedError(Exception):
    """What AWX answers with status 400."""


class Awx:
    """The objects of an AWX whose projects have the files of `project`, and what is associated with them."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.objects: dict[str, list[Object]] = {endpoint: [] for endpoint in ENDPOINTS}
        self.surveys: dict[str, Object] = {}
        self.associated: dict[str, list[int]] = {}
        self.last = 0
        self.create("organizations", {"name": "Default"})

    def create(self, endpoint: str, fields: Object) -> Object:
        """Add an object as AWX would; RefusedError if AWX would not."""
        if endpoint == "job_templates":
            self.require_playbook(fields["playbook"])
        if endpoint == "workflow_job_template_nodes":
            self.require_prompts(fields)
        self.last += 1
        number = self.last
        url = f"{API}{endpoint}/{number}/"
        kind = endpoint[:-3] + "y" if endpoint.endswith("ies") else endpoint[:-1]
        related = {"survey_spec": f"{url}survey_spec/"}
        added = {
            **fields,
            "id": number,
            "url": url,
            "type": kind,
            "related": related,
            "summary_fields": {},
            **FILLED.get(endpoint, {}),
        }
        self.objects[endpoint].append(added)
        return added

    def require_playbook(self, path: str) -> None:
        """Refuse a file that AWX does not offer as a playbook of the project."""
        file = self.project / path
        if not file.is_file() or not IS_PLAYBOOK.search(file.read_text(encoding="utf-8")):
            raise RefusedError(f"Playbook not found for project: {path}")

    def require_prompts(self, node: Object) -> None:
        """Refuse variables and prompts that the job template of a node does not ask for."""
        template = self.find("job_templates", node.get("unified_job_template"))
        if template is None:
            return
        survey = self.surveys.get(template["related"]["survey_spec"], {"spec": []})
        unknown = set(node.get("extra_data", {})) - {question["variable"] for question in survey["spec"]}
        if unknown:
            raise RefusedError(f"Variables {sorted(unknown)} are not allowed on launch of {template['name']}")
        if "job_type" in node and not template.get("ask_job_type_on_launch"):
            raise RefusedError(f"{template['name']} does not ask for job_type")

    def find(self, endpoint: str, number: t.Any) -> Object | None:
        """Return the object of this id."""
        return next((one for one in self.objects[endpoint] if one["id"] == number), None)

    def listed(self, endpoint: str, query: dict[str, str]) -> list[Object]:
        """Return the objects that have the values of the query."""
        endpoints = ("job_templates", "workflow_job_templates") if endpoint == "unified_job_templates" else (endpoint,)
        every = [one for name in endpoints for one in self.objects[name]]
        return [one for one in every if all(str(one.get(key)) == value for key, value in query.items())]

    def associate(self, path: str, request: Object) -> None:
        """Associate one object with another, as job templates have credentials and nodes have successors."""
        *_start, endpoint, _number, name, _end = path.split("/")
        if request.get("disassociate"):
            self.associated[path].remove(request["id"])
            return
        if name == "credentials":
            given = self.find("credentials", request["id"])
            present = (self.find("credentials", one) for one in self.associated.get(path, []))
            if given and any(one and one["credential_type"] == given["credential_type"] for one in present):
                raise RefusedError(f"Cannot assign multiple credentials of one type to one of {endpoint}")
        self.associated.setdefault(path, []).append(request["id"])


def problem_of_survey(survey: Object) -> str:
    """Return why AWX refuses the survey; an empty text if it takes it."""
    if not all(isinstance(survey.get(name), str) for name in ("name", "description")) or not survey.get("spec"):
        return "name, description or spec is missing"
    seen: set[str] = set()
    for question in survey["spec"]:
        if not all(isinstance(question.get(name), str) for name in ("type", "question_name", "variable")):
            return f"{question}: type, question_name or variable is missing"
        if not isinstance(question.get("required"), bool) or question["variable"] in seen:
            return f"{question['variable']}: required is no boolean, or the variable is asked for twice"
        seen.add(question["variable"])
        if question["type"] not in TYPES:
            return f"{question['variable']}: {question['type']} is no type of a question"
        default = question.get("default", "")
        if default != "" and (isinstance(default, bool) or not isinstance(default, TYPES[question["type"]])):
            return f"{question['variable']}: the default {default!r} is not of the type {question['type']}"
        if not all(isinstance(question.get(name, 0), int) for name in ("min", "max")):
            return f"{question['variable']}: min or max is no integer"
        if question["type"].startswith("multi") and default not in question["choices"]:
            return f"{question['variable']}: the default {default!r} is not one of the choices"
    return ""


class _Handler(BaseHTTPRequestHandler):
    awx: Awx

    def do_GET(self) -> None:
        path, _mark, text = self.path.partition("?")
        query = dict(urllib.parse.parse_qsl(text))
        if path in self.awx.surveys or path.endswith("/survey_spec/"):
            return self.answer(200, self.awx.surveys.get(path, {}))
        endpoint, number, name = self.parts(path)
        if name:
            ids = self.awx.associated.get(path, [])
            return self.answer_list([{"id": one} for one in ids])
        if number:
            found = self.awx.find(endpoint, int(number))
            return self.answer(200 if found else 404, found or {})
        if endpoint not in (*ENDPOINTS, "unified_job_templates"):
            return self.answer(404, {})
        return self.answer_list(self.awx.listed(endpoint, query))

    def do_POST(self) -> None:
        endpoint, number, name = self.parts(self.path)
        given = self.body()
        try:
            if name == "survey_spec":
                if problem := problem_of_survey(given):
                    raise RefusedError(problem)
                self.awx.surveys[self.path] = given
                return self.answer(200, {})
            if name == "create_approval_template":
                approval = self.awx.create("workflow_approval_templates", given)
                node = self.awx.find(endpoint, int(number))
                assert node
                node["related"]["unified_job_template"] = approval["url"]
                return self.answer(201, approval)
            if name:
                self.awx.associate(self.path, given)
                return self.answer(204, None)
            return self.answer(201, self.awx.create(endpoint, given))
        except RefusedError as error:
            return self.answer(400, {"error": str(error), "__all__": [str(error)]})

    def do_PATCH(self) -> None:
        endpoint, number, _name = self.parts(self.path)
        found = self.awx.find(endpoint, int(number))
        assert found
        found.update(self.body())
        self.answer(200, found)

    def do_DELETE(self) -> None:
        endpoint, number, _name = self.parts(self.path)
        self.awx.objects[endpoint] = [one for one in self.awx.objects[endpoint] if one["id"] != int(number)]
        self.answer(204, None)

    def parts(self, path: str) -> tuple[str, str, str]:
        """Return endpoint, id and name of the sublist of a path."""
        found = (*path.removeprefix(API).strip("/").split("/"), "", "")
        return found[0], found[1], found[2]

    def body(self) -> Object:
        return t.cast("Object", json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def answer_list(self, found: list[Object]) -> None:
        self.answer(200, {"count": len(found), "results": found, "next": None, "previous": None})

    def answer(self, status: int, content: t.Any) -> None:
        text = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-API-Product-Name", "AWX")
        self.send_header("X-API-Product-Version", "24.6.1")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_arguments: t.Any) -> None:
        return


@contextlib.contextmanager
def serving(awx: Awx) -> Iterator[str]:
    """Serve the API on loopback and yield its URL."""
    handler = type("Handler", (_Handler,), {"awx": awx})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
