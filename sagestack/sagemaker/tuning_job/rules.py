"""What a CreateHyperParameterTuningJob request may hold, beyond the service model.

Texts that were seen from AWS: the missing metric, the missing combinations, the input without
objects. Rules without such a text are from the developer guide and the API reference.
"""

from __future__ import annotations

from typing import Any

from sagestack.aws.errors import ValidationException
from sagestack.aws.registry import Request, service_model
from sagestack.aws.validation import validate
from sagestack.context import Context
from sagestack.engine.host import NoSuchBucket
from sagestack.engine.s3_uri import parse_s3_uri
from sagestack.sagemaker.algorithms import metric_definitions
from sagestack.sagemaker.job_rules import refuse_members
from sagestack.sagemaker.training_job.rules import check_request as check_training_request
from sagestack.sagemaker.tuning_job.definition import (
    Definition,
    definitions_given,
    definitions_of,
)
from sagestack.sagemaker.tuning_job.limits import Hyperband, Limits
from sagestack.sagemaker.tuning_job.ranges import combinations
from sagestack.sagemaker.tuning_job.warm_start import check_warm_start


def check_request(request: Request, context: Context) -> None:
    """Raises ValidationException, ResourceNotFound."""
    refuse_members(request, "Autotune")
    _check_shape(request)
    definitions = list(definitions_of(request))
    _check_names(definitions)
    for definition in definitions:
        _check_definition(definition, context)
    _check_strategy(request["HyperParameterTuningJobConfig"], definitions)
    _check_limits(request["HyperParameterTuningJobConfig"], definitions)
    if "WarmStartConfig" in request:
        if len(definitions) > 1:
            raise ValidationException(
                "Warm start is supported only for tuning jobs with a single TrainingJobDefinition."
            )
        check_warm_start(request, definitions[0], context)


def _check_shape(request: Request) -> None:
    """One definition takes objective and ranges from the config or has its own; of several,
    each has its own."""
    config = request["HyperParameterTuningJobConfig"]
    if ("TrainingJobDefinition" in request) == ("TrainingJobDefinitions" in request):
        raise ValidationException(
            "You must specify either TrainingJobDefinition or TrainingJobDefinitions, and not both."
        )
    several = "TrainingJobDefinitions" in request
    for shared, own in (
        ("HyperParameterTuningJobObjective", "TuningObjective"),
        ("ParameterRanges", "HyperParameterRanges"),
    ):
        if several and config.get(shared):
            raise ValidationException(
                f"{shared} must not be specified with TrainingJobDefinitions. Specify {own} in "
                "each training job definition."
            )
        for given in definitions_given(request):
            if bool(config.get(shared)) == bool(given.get(own)):
                where = own if several else f"either {shared} or {own}, and not both"
                raise ValidationException(f"You must specify {where}.")
    for given in definitions_given(request):
        _check_resources(given)


def _check_resources(given: dict[str, Any]) -> None:
    flexible = given.get("HyperParameterTuningResourceConfig")
    if (flexible is None) == ("ResourceConfig" not in given):
        raise ValidationException(
            "You must specify either ResourceConfig or HyperParameterTuningResourceConfig, and "
            "not both."
        )
    single = ("InstanceType", "InstanceCount", "VolumeSizeInGB")
    if flexible and "InstanceConfigs" in flexible and any(each in flexible for each in single):
        raise ValidationException(
            f"Do not specify {', '.join(single)} in HyperParameterTuningResourceConfig when "
            "InstanceConfigs is specified."
        )


def _check_names(definitions: list[Definition]) -> None:
    names = [definition.name for definition in definitions]
    if len(definitions) > 1 and (None in names or len(set(names)) < len(names)):
        raise ValidationException(
            "Each of the TrainingJobDefinitions must have a unique DefinitionName."
        )
    if len({definition.maximize for definition in definitions}) > 1:
        raise ValidationException(
            "The Type of the TuningObjective must be the same in all TrainingJobDefinitions."
        )


def _check_definition(definition: Definition, context: Context) -> None:
    if not definition.ranges:
        raise ValidationException(
            "You must specify at least one hyperparameter range to tune in the parameter ranges."
        )
    fixed = {each.name for each in definition.ranges} & set(definition.static)
    if fixed:
        raise ValidationException(
            "A hyperparameter can't be both static and tuned. Remove from StaticHyperParameters "
            f"or from the parameter ranges: {', '.join(sorted(fixed))}"
        )
    # What a training job may not hold, no trial may: it is said now and not by each trial.
    trial = definition.training_request("trial", {each.name: "" for each in definition.ranges})
    validate(service_model("sagemaker").operation_model("CreateTrainingJob"), trial)
    check_training_request(trial, context)
    _check_metric(definition, context)
    _check_inputs(definition, context)


def _check_metric(definition: Definition, context: Context) -> None:
    """The metrics of an image with a built-in algorithm need no definition."""
    algorithm = definition.given["AlgorithmSpecification"]
    image = context.instance.images.find(algorithm["TrainingImage"])
    defined = algorithm.get("MetricDefinitions") or metric_definitions(image)
    if definition.metric not in {metric["Name"] for metric in defined}:
        raise ValidationException(
            "A metric is required for this hyperparameter tuning job objective. Provide a metric "
            "in the metric definitions."
        )


def _check_inputs(definition: Definition, context: Context) -> None:
    for channel in definition.given.get("InputDataConfig", ()):
        uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
        try:
            found = next(iter(context.aws.list_objects(*parse_s3_uri(uri))), None)
        except NoSuchBucket:
            found = None
        if found is None:
            role, (bucket, _) = definition.given["RoleArn"], parse_s3_uri(uri)
            raise ValidationException(
                f'No S3 objects found under S3 URL "{uri}" given in input data source. Please '
                f"ensure that the bucket exists in the selected region ({context.caller.region}), "
                f'that objects exist under that S3 prefix, and that the role "{role}" has '
                f'"s3:ListBucket" permissions on bucket "{bucket}".'
            )


def _check_strategy(config: dict[str, Any], definitions: list[Definition]) -> None:
    strategy = config["Strategy"]
    early = config.get("TrainingJobEarlyStoppingType", "Off") == "Auto"
    if early and len(definitions) > 1:
        raise ValidationException(
            "Early stopping is supported only for tuning jobs with a single TrainingJobDefinition."
        )
    if strategy == "Hyperband":
        if early:
            raise ValidationException(
                "TrainingJobEarlyStoppingType must be Off to use the Hyperband strategy."
            )
        for definition in definitions:
            Hyperband.of(config, definition)
    elif "HyperbandStrategyConfig" in config.get("StrategyConfig", {}):
        raise ValidationException(
            "HyperbandStrategyConfig is supported only for the Hyperband strategy."
        )
    if strategy == "Grid":
        numeric = [r.name for d in definitions for r in d.ranges if r.kind != "Categorical"]
        if numeric:
            raise ValidationException(
                "Only categorical parameters are supported when using the Grid strategy. These "
                f"hyperparameters are not categorical: {', '.join(numeric)}"
            )


def _check_limits(config: dict[str, Any], definitions: list[Definition]) -> None:
    given = config["ResourceLimits"].get("MaxNumberOfTrainingJobs")
    parallel = config["ResourceLimits"]["MaxParallelTrainingJobs"]
    total = sum(combinations(definition.ranges) for definition in definitions)
    if config["Strategy"] == "Grid":
        if given not in (None, total):
            raise ValidationException(
                f"MaxNumberOfTrainingJobs, [{given}], must equal the total number of categorical "
                f"combinations, [{total:.0f}], when using the Grid strategy, or be omitted."
            )
    elif given is None and not Limits.of(config, definitions).end:
        raise ValidationException(
            "MaxNumberOfTrainingJobs is required in ResourceLimits, unless the strategy is Grid "
            "or MaxRuntimeInSeconds or TuningJobCompletionCriteria is specified."
        )
    elif given is not None and total < given:
        raise ValidationException(
            "You don't have enough combinations of hyperparameter ranges. The total number of "
            f"hyperparameter combinations for the provided ranges [{float(total)}] must be equal "
            f"or greater than the value of MaxNumberOfJobs, [{given}]. Provide additional ranges."
        )
    if given is not None and parallel > given:
        raise ValidationException(
            f"MaxParallelTrainingJobs, [{parallel}], must be less than or equal to "
            f"MaxNumberOfTrainingJobs, [{given}]."
        )
