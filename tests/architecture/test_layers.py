"""Who may import whom. docs/architecture.md draws it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A folder or module, and what it may not import.
FORBIDDEN = {
    "infra": ["sagestack", "mlops", "processing", "training", "inference"],
    "mlops": ["sagestack", "infra.stacks", "infra.constructs"],
    "processing": ["sagestack", "infra", "mlops", "training", "inference"],
    "training": ["sagestack", "infra", "mlops", "processing", "inference"],
    "inference": ["sagestack", "infra", "mlops", "processing", "training"],
    "sagestack/aws": [
        *(f"sagestack.{name}" for name in ("engine", "sagemaker", "glue", "serving", "context")),
        *("sagestack.localstack", "sagestack.cloudformation", "localstack"),
    ],
    "sagestack/engine": [
        *(f"sagestack.{name}" for name in ("aws", "sagemaker", "glue", "serving", "context")),
        *("sagestack.localstack", "sagestack.cloudformation", "localstack", "boto3"),
    ],
    "sagestack/container": ["sagestack", "localstack"],
    "sagestack/sagemaker": ["sagestack.glue", "sagestack.localstack", "localstack"],
    "sagestack/glue": ["sagestack.sagemaker", "sagestack.localstack", "localstack"],
    "sagestack/serving": ["sagestack.localstack", "localstack"],
    "sagestack/cloudformation": ["sagestack.localstack", "localstack"],
}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module


def is_part_of(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_layer_imports_only_what_lies_below_it(folder: str) -> None:
    files = list((ROOT / folder).rglob("*.py"))
    assert files, f"{folder} has no code"
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files
        for module in imports(path)
        for package in FORBIDDEN[folder]
        if is_part_of(module, package)
    ]
    assert wrong == []


def test_only_the_adapter_imports_localstack() -> None:
    outside = [
        path
        for path in (ROOT / "sagestack").rglob("*.py")
        if "sagestack/localstack" not in path.as_posix()
    ]
    wrong = [
        path.relative_to(ROOT).as_posix()
        for path in outside
        if any(is_part_of(module, "localstack") for module in imports(path))
    ]
    assert wrong == []


@pytest.mark.parametrize("folder", ["processing", "training", "inference"])
def test_script_logic_knows_no_aws(folder: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in (ROOT / folder).rglob("logic.py")
        for module in imports(path)
        if is_part_of(module, "boto3") or is_part_of(module, "awswrangler")
    ]
    assert wrong == []
