"""The app as a function, so that tests build the same one that `cdk synth` does."""

from __future__ import annotations

import json
from typing import Any

from aws_cdk import App, Environment, Tags

from infra import guardrails
from infra.constructs.code import ROOT
from infra.settings import Settings
from infra.stacks.data_lake import DataLakeStack
from infra.stacks.etl import EtlStack
from infra.stacks.serving import ServingStack
from infra.stacks.training import TrainingStack


def build(context: dict[str, Any] | None = None, **kwargs: Any) -> App:
    """The platform's stacks for the environment in the context; nothing is synthesised yet.

    The region is that of the settings. The account stays open until a stack is deployed: no
    credentials are read here. Feature flags are those of `cdk.json`, with or without the CDK's
    command line in front; what that passes (`-c`) goes before them.
    """
    flags = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    app = App(context={**flags, **(context or {})}, **kwargs)
    settings = Settings.from_context(app.node)
    env = Environment(region=settings.region)

    lake = DataLakeStack(app, settings.stack_name("data-lake"), settings=settings, env=env)
    key = lake.key
    EtlStack(app, settings.stack_name("etl"), settings=settings, key=key, env=env)
    TrainingStack(app, settings.stack_name("training"), settings=settings, key=key, env=env)
    ServingStack(app, settings.stack_name("serving"), settings=settings, key=key, env=env)

    for name, value in settings.tags.items():
        Tags.of(app).add(name, value)
    guardrails.enforce(app)
    return app
