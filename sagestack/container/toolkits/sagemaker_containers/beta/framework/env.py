"""The training job a script runs in, as its variables tell it."""

from __future__ import annotations

import json
import os
from typing import Any

TEXTS = (
    *("current_host", "model_dir", "input_dir", "input_config_dir", "output_dir"),
    *("output_data_dir", "output_intermediate_dir", "module_dir", "module_name"),
    *("user_entry_point", "network_interface_name", "current_instance_type"),
    *("current_instance_group", "framework_module"),
)
VALUES = (
    *("hosts", "num_cpus", "num_gpus", "num_neurons", "log_level", "resource_config"),
    *("input_data_config", "user_args", "instance_groups", "current_instance_group_hosts"),
)


class TrainingEnv:
    """Each attribute is the variable `SM_<NAME>`, as a value."""

    def __getattr__(self, name: str) -> Any:
        if name in TEXTS:
            return _variable(name)
        if name in VALUES:
            return json.loads(_variable(name))
        raise AttributeError(f"sagestack's environment of a training job has no {name!r}")

    @property
    def hyperparameters(self) -> dict[str, Any]:
        values: dict[str, Any] = json.loads(_variable("hps"))
        return values

    @property
    def channel_input_dirs(self) -> dict[str, str]:
        names = json.loads(_variable("channels"))
        return {name: _variable(f"channel_{name}") for name in names}

    @property
    def job_name(self) -> str:
        return os.environ.get("TRAINING_JOB_NAME", "")

    @property
    def master_hostname(self) -> str:
        first: str = self.hosts[0]
        return first

    @property
    def is_master(self) -> bool:
        return bool(self.current_host == self.master_hostname)


def _variable(name: str) -> str:
    return os.environ[f"SM_{name.upper()}"]
