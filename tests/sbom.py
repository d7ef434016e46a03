# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the software bills of materials as CycloneDX: of the collection, and of what develops and tests it.

Run it by `make sbom`, in the virtual environment of cyclonedx-bom. Each bill is validated against the schema.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = "1.6"
COLLECTIONS = "https://galaxy.ansible.com/ui/repo/published/"


def main() -> int:
    """Write both bills to out/sbom; return the exit status."""
    folder = ROOT / "out" / "sbom"
    folder.mkdir(parents=True, exist_ok=True)
    collection = galaxy()
    runtime = bill(ROOT / "meta" / "ee-requirements.txt")
    runtime["components"] += [component_of(name, bound) for name, bound in collection["dependencies"].items()]
    bills = {"collection": runtime, "development": bill(ROOT / "tests" / "requirements.txt")}
    for name, found in bills.items():
        found["metadata"]["component"] = main_component(collection)
        listed = sorted(one["bom-ref"] for one in found["components"])
        known = [{"ref": ref} for ref in listed]
        found["dependencies"] = [{"ref": "meshops.canary", "dependsOn": listed}, *known]
        found["components"].sort(key=lambda one: str(one["bom-ref"]))
        text = json.dumps(found, indent=2) + "\n"
        validate(name, text)
        path = folder / f"{name}.cdx.json"
        path.write_text(text, encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: {len(listed)} components")
    return 0


def bill(requirements: Path) -> dict[str, t.Any]:
    """Return what cyclonedx-py makes of a file of requirements, without a time and a serial number."""
    options = ("--sv", SCHEMA, "--of", "JSON", "--output-reproducible")
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", *options, str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return t.cast("dict[str, t.Any]", json.loads(done.stdout))


def galaxy() -> dict[str, t.Any]:
    """Return name, version, license and dependencies of galaxy.yml; the tool's environment has no YAML."""
    text = (ROOT / "galaxy.yml").read_text(encoding="utf-8")
    found: dict[str, t.Any] = dict(re.findall(r"^(namespace|name|version|repository): (\S+)$", text, re.M))
    found["license"] = re.findall(r"^license:\n  - (\S+)$", text, re.M)[0]
    section = re.findall(r"^dependencies:\n((?:  .+\n)+)", text, re.M)
    found["dependencies"] = dict(re.findall(r'^  ([\w.]+): "(.+)"$', section[0], re.M)) if section else {}
    return found


def main_component(collection: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the collection as the component that the bill is about."""
    name = f"{collection['namespace']}.{collection['name']}"
    return {
        "bom-ref": name,
        "type": "library",
        "name": name,
        "version": collection["version"],
        "licenses": [{"license": {"id": collection["license"]}}],
        "externalReferences": [{"type": "vcs", "url": collection["repository"]}],
    }


def component_of(name: str, bound: str) -> dict[str, t.Any]:
    """Return a collection of Galaxy that this one depends on, with the versions that it may have."""
    namespace, _dot, short = name.partition(".")
    reference = {"type": "distribution", "url": f"{COLLECTIONS}{namespace}/{short}/", "comment": f"versions {bound}"}
    return {"bom-ref": name, "type": "library", "name": name, "externalReferences": [reference]}


def validate(name: str, text: str) -> None:
    """Raise SystemExit if a bill does not follow the schema of CycloneDX."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    problem = JsonStrictValidator(SchemaVersion.from_version(SCHEMA)).validate_str(text)
    if problem is not None:
        raise SystemExit(f"{name}: {problem}")


if __name__ == "__main__":
    sys.exit(main())
