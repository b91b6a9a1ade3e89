"""What a training script is told: its arguments and the SM_* variables.

Both are those of AWS's sagemaker-training toolkit, down to how a value is written.
Source: contract, section 1.5.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOR_THE_IMAGE = (
    "sagemaker_program",
    "sagemaker_submit_directory",
    "sagemaker_enable_cloudwatch_metrics",
    "sagemaker_region",
    "sagemaker_container_log_level",
    "sagemaker_job_name",
    "sagemaker_s3_output",
    "default_user_module_name",
    "_tuning_objective_metric",
)
"""Hyperparameters that the script does not get."""
OF_A_FRAMEWORK = "sagemaker_"
"""What the names of others that it does not get begin with."""
ONLY_IN_TRAINING_ENV = (
    "additional_framework_parameters",
    "channel_input_dirs",
    "distribution_hosts",
    "hyperparameters",
    "is_master",
    "is_modelparallel_enabled",
    "is_smddpmprun_installed",
    "is_smddprun_installed",
    "job_name",
    "master_hostname",
    "topology",
)
"""Facts without a variable of their own."""


def arguments(values: Mapping[str, Any]) -> list[str]:
    """Hyperparameters as `--key value` in order of the keys; `-k value` for one letter."""
    words = []
    for key, value in sorted(values.items()):
        words += [f"-{key}" if len(key) == 1 else f"--{key}", _argument(value)]
    return words


def variables(
    program: str, source: str, hyperparameters: Mapping[str, Any], base: Path
) -> dict[str, str]:
    """The environment of a script. `hyperparameters` are all that the job has, `base` is its
    /opt/ml, `source` where its code came from."""
    facts = _facts(program, source, hyperparameters, base)
    script_has = facts["hyperparameters"]
    named = {
        **{name: value for name, value in facts.items() if name not in ONLY_IN_TRAINING_ENV},
        "hps": script_has,
        "framework_params": facts["additional_framework_parameters"],
        "channels": sorted(facts["channel_input_dirs"]),
        "training_env": facts,
        "user_args": arguments(script_has),
        **{f"channel_{name}": path for name, path in facts["channel_input_dirs"].items()},
        **{f"hp_{name}": value for name, value in script_has.items()},
    }
    return {
        "CURRENT_HOST": facts["current_host"],
        "SAGEMAKER_JOB_NAME": str(hyperparameters.get("sagemaker_job_name", "")),
        "SAGEMAKER_REGION": hyperparameters.get(
            "sagemaker_region", os.environ.get("AWS_REGION", "")
        ),
        **{f"SM_{name.upper()}": _variable(value) for name, value in named.items()},
    }


def _facts(
    program: str, source: str, hyperparameters: Mapping[str, Any], base: Path
) -> dict[str, Any]:
    """The toolkit's training environment."""
    config = base / "input" / "config"
    resources = json.loads((config / "resourceconfig.json").read_text())
    channels = json.loads((config / "inputdataconfig.json").read_text())
    hosts, current = resources["hosts"], resources["current_host"]
    groups = {group["instance_group_name"]: group for group in resources["instance_groups"]}
    rest = {name: value for name, value in hyperparameters.items() if name not in FOR_THE_IMAGE}
    return {
        "additional_framework_parameters": {
            name: value for name, value in rest.items() if name.startswith(OF_A_FRAMEWORK)
        },
        "channel_input_dirs": {name: str(base / "input" / "data" / name) for name in channels},
        "current_host": current,
        "current_instance_group": resources["current_group_name"],
        "current_instance_group_hosts": groups[resources["current_group_name"]]["hosts"],
        "current_instance_type": resources["current_instance_type"],
        "distribution_hosts": [],
        "distribution_instance_groups": [],
        "framework_module": None,
        "hosts": hosts,
        "hyperparameters": {
            name: value for name, value in rest.items() if not name.startswith(OF_A_FRAMEWORK)
        },
        "input_config_dir": str(config),
        "input_data_config": channels,
        "input_dir": str(base / "input"),
        "instance_groups": list(groups),
        "instance_groups_dict": groups,
        "is_hetero": len(groups) > 1,
        "is_master": current == hosts[0],
        "is_modelparallel_enabled": None,
        "is_smddpmprun_installed": False,
        "is_smddprun_installed": False,
        "job_name": os.environ.get("TRAINING_JOB_NAME", ""),
        "log_level": hyperparameters.get("sagemaker_container_log_level", 20),
        "master_hostname": hosts[0],
        "model_dir": str(base / "model"),
        "module_dir": source,
        "module_name": program.removesuffix(".py"),
        "network_interface_name": resources["network_interface_name"],
        "num_cpus": len(os.sched_getaffinity(0)),
        "num_gpus": 0,
        "num_neurons": 0,
        "output_data_dir": str(base / "output" / "data"),
        "output_dir": str(base / "output"),
        "output_intermediate_dir": str(base / "output" / "intermediate"),
        "resource_config": resources,
        "topology": [],
        "user_entry_point": program,
    }


def _argument(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return ",".join(f"{key}={item}" for key, item in sorted(value.items()))
    return str(value)


def _variable(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
