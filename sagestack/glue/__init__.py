"""Glue: the Data Catalog, which stores, and Python-shell jobs, which run.

One module per kind. Importing the package binds the operations.
"""

from __future__ import annotations

from sagestack.glue import (
    database,
    job,
    partition,
    partition_batch,
    security_configuration,
    table,
    table_version,
    tags,
)
from sagestack.glue.job_run import recover

__all__ = [
    "database",
    "job",
    "partition",
    "partition_batch",
    "recover",
    "security_configuration",
    "table",
    "table_version",
    "tags",
]
