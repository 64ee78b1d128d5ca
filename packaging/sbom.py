# SPDX-License-Identifier: Apache-2.0
"""Complete an SBOM with what it is of and the C libraries inside the module: python packaging/sbom.py FILE.

FILE is what cyclonedx-py made of an environment (CycloneDX 1.6, JSON). It sees Python packages alone; the
module holds archives of Debian, which are linked into it.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

LIBRARIES: Final = {
    "inih": ("libinih-dev", "BSD-3-Clause"),
    "libxcrypt": ("libcrypt-dev", "LGPL-2.1-or-later"),
    "zlib": ("zlib1g-dev", "Zlib"),
}
"""What CMakeLists.txt links into xca-pkcs11.so: each library's package in Debian and its licence."""

ENVIRONMENTS: Final = ("pip", "setuptools")
"""What every new environment has, and what the project does not need."""


def main(file: Path) -> None:
    """Name the project as what is described, and add the libraries; take away what is the builder's alone."""
    bom = json.loads(file.read_bytes())
    others = {each["bom-ref"] for each in bom["components"] if each["name"] in ENVIRONMENTS}
    bom["components"] = [each for each in bom["components"] if each["bom-ref"] not in others]
    bom["dependencies"] = [each for each in bom["dependencies"] if each["ref"] not in others]
    for each in bom["dependencies"]:
        if needed := [one for one in each.pop("dependsOn", []) if one not in others]:
            each["dependsOn"] = needed
    for each in bom["components"]:
        references = each.get("externalReferences", [])
        each["externalReferences"] = [one for one in references if not one["url"].startswith("file:")]
    (plugin,) = (each for each in bom["components"] if each["name"] == "xca-plugin")
    bom["components"].remove(plugin)
    bom["metadata"]["component"] = plugin
    (needs,) = (each for each in bom["dependencies"] if each["ref"] == plugin["bom-ref"])
    for name, (package, licence) in LIBRARIES.items():
        query = ["dpkg-query", "--show", "--showformat=${Version}", package]
        version = subprocess.run(query, check=True, capture_output=True, text=True).stdout
        purl = f"pkg:deb/debian/{package}@{version}"
        library = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
        bom["components"].append(library | {"licenses": [{"license": {"id": licence}}]})
        bom["dependencies"].append({"ref": purl})
        needs["dependsOn"].append(purl)
    file.write_text(json.dumps(bom, ensure_ascii=False, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
