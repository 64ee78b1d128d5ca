# SPDX-License-Identifier: Apache-2.0
"""Checks the JSON that commands print against its schemas."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

SCHEMAS = {
    path.name: json.loads(path.read_text())
    for path in (Path(__file__).parents[3] / "docs" / "schema").glob("*.schema.json")
}


def check(document: Any, schema: str) -> None:
    registry: Registry[Any] = Registry().with_resources(
        (name, Resource.from_contents(contents)) for name, contents in SCHEMAS.items()
    )
    validator = Draft202012Validator(
        SCHEMAS[f"{schema}.schema.json"], registry=registry, format_checker=FormatChecker()
    )
    validator.validate(document)
