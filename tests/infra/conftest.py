"""Synthesises each environment once per session; tests read the templates that were written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

# The CDK's own template check costs seconds per synth; one test has it on, in a process of its own.
os.environ.setdefault("CDK_VALIDATION", "false")

import pytest

from infra.app import build

STAGES = ("local", "dev", "prod")


class Template:
    """One synthesised template."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body
        self.resources: dict[str, dict[str, Any]] = body["Resources"]

    def of_type(self, type_: str) -> dict[str, dict[str, Any]]:
        """Resources of a type by logical id."""
        return {
            name: resource for name, resource in self.resources.items() if resource["Type"] == type_
        }

    def only(self, type_: str) -> dict[str, Any]:
        """The properties of the one resource of a type."""
        [resource] = self.of_type(type_).values()
        properties: dict[str, Any] = resource["Properties"]
        return properties

    def outputs(self) -> set[str]:
        """Output keys."""
        return set(self.body.get("Outputs", {}))

    def statements(self) -> list[dict[str, Any]]:
        """Every statement of every role's and managed policy."""
        found = []
        for type_ in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
            for resource in self.of_type(type_).values():
                found += resource["Properties"]["PolicyDocument"]["Statement"]
        return found


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of an environment's cloud assembly."""
    made: dict[str, Path] = {}

    def get(stage: str) -> Path:
        if stage not in made:
            folder = tmp_path_factory.mktemp(f"cdk-{stage}")
            build(context={"env": stage}, outdir=str(folder)).synth()
            made[stage] = folder
        return made[stage]

    return get


@pytest.fixture(scope="session")
def template(assembly: Callable[[str], Path]) -> Callable[[str, str], Template]:
    """A stack's template by environment and concern."""

    def get(stage: str, concern: str) -> Template:
        path = assembly(stage) / f"sagestack-{stage}-{concern}.template.json"
        return Template(json.loads(path.read_text(encoding="utf-8")))

    return get


def listed(value: Any) -> list[Any]:
    """A value that may be one or many, as a list."""
    return value if isinstance(value, list) else [value]


def text(value: Any) -> str:
    """A template value as text to search in."""
    return json.dumps(value, sort_keys=True)
