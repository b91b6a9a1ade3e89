"""The resource provider on real operations: create, update, delete, fail."""

import pytest

from sagestack.cloudformation import types
from sagestack.cloudformation.provider import ResourceFailed
from tests.emulator.jobs import ACCOUNT, IMAGE, ROLE
from tests.emulator.stacks import SHELL, Resources


@pytest.fixture
def resources(context):
    return Resources(context, team="stack", stage="dev")


# Names and what Ref answers


def test_a_model_without_a_name_gets_one(resources):
    model = resources.model()
    assert model["ModelName"].startswith("stack-Logical-")
    described = resources.call("sagemaker", "DescribeModel", ModelName=model["ModelName"])
    assert model["Id"] == model["ModelArn"] == described["ModelArn"]


def test_a_given_name_is_kept(resources):
    assert resources.model(ModelName="mine")["ModelName"] == "mine"


def test_glue_is_referred_to_by_name(resources):
    database = resources.database()
    assert database["Id"] == database["DatabaseName"] == database["DatabaseName"].lower()
    table = resources.table(database["Id"], Name="t")
    assert table["Id"] == "t"
    assert resources.call("glue", "GetTable", DatabaseName=database["Id"], Name="t")


def test_a_partition_is_referred_to_by_all_that_names_it(resources):
    database = resources.database()["Id"]
    resources.table(database, Name="t", PartitionKeys=[{"Name": "year", "Type": "string"}])
    properties = {
        "CatalogId": ACCOUNT,
        "DatabaseName": database,
        "TableName": "t",
        "PartitionInput": {"Values": ["2024"]},
    }
    partition = resources.create(types.PARTITION, properties)
    assert partition["Id"] == f"{ACCOUNT}|{database}|t|2024"


# Create


def test_properties_arrive_in_the_types_of_the_operation(resources):
    properties = {
        "Role": ROLE,
        "Command": SHELL,
        "MaxCapacity": "0.0625",
        "Timeout": "5",
        "DefaultArguments": {"--rows": 5},
    }
    name = resources.create(types.JOB, properties)["Id"]
    job = resources.call("glue", "GetJob", JobName=name)["Job"]
    assert (job["MaxCapacity"], job["Timeout"]) == (0.0625, 5)
    assert job["DefaultArguments"] == {"--rows": "5"}


def test_a_refused_create_has_the_words_of_the_service(resources):
    model = resources.model(ModelName="mine")
    with pytest.raises(ResourceFailed) as caught:
        resources.model(ModelName="mine")
    assert caught.value.reason == (
        f'Cannot create already existing model "{model["ModelArn"]}". '
        "(Service: SageMaker, Status Code: 400, Error Code: ValidationException)"
    )
    assert caught.value.model is None, "a rollback would delete what is someone else's"


@pytest.mark.parametrize(
    ("properties", "text"),
    [
        ({}, "#: required key [EndpointConfigName] not found"),
        ({"EndpointConfigName": "c", "Colour": 1}, "#: extraneous key [Colour] is not permitted"),
        (
            {"EndpointConfigName": "c", "DeploymentConfig": {"Colour": 1}},
            "#/DeploymentConfig: extraneous key [Colour] is not permitted",
        ),
    ],
)
def test_properties_that_do_not_fit_are_refused(resources, properties, text):
    with pytest.raises(ResourceFailed) as caught:
        resources.create(types.ENDPOINT, properties)
    assert caught.value.reason == (
        f"Properties validation failed for resource Logical with message:\n{text}"
    )


# Tags


def test_tags_of_stack_and_resource_are_on_the_resource(resources):
    model = resources.model(Tags=[{"Key": "team", "Value": "own"}])
    assert resources.tags(model["ModelArn"]) == {"team": "own", "stage": "dev"}


def test_tags_of_a_glue_job_are_a_mapping(resources):
    job = resources.create(types.JOB, {"Role": ROLE, "Command": SHELL, "Tags": {"own": "1"}})
    arn = resources.context.caller.arn("glue", f"job/{job['Name']}")
    tags = resources.call("glue", "GetTags", ResourceArn=arn)["Tags"]
    assert tags == {"own": "1", "team": "stack", "stage": "dev"}


def test_changed_tags_leave_those_that_others_set(resources):
    properties = {"ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": IMAGE}}
    model = resources.create(types.MODEL, {**properties, "Tags": [{"Key": "a", "Value": "1"}]})
    arn = model["ModelArn"]
    resources.call("sagemaker", "AddTags", ResourceArn=arn, Tags=[{"Key": "hand", "Value": "1"}])
    resources.update(types.MODEL, {**properties, "Tags": [{"Key": "b", "Value": "2"}]}, model)
    assert resources.tags(arn) == {"b": "2", "hand": "1", "team": "stack", "stage": "dev"}


# Update


def test_a_glue_job_is_updated_whole(resources):
    properties = {"Role": ROLE, "Command": SHELL, "Description": "one", "Timeout": 5}
    job = resources.create(types.JOB, properties)
    del properties["Timeout"]
    resources.update(types.JOB, {**properties, "Description": "two"}, job)
    stored = resources.call("glue", "GetJob", JobName=job["Name"])["Job"]
    assert stored["Description"] == "two"
    assert stored["Timeout"] != 5


def test_a_table_and_a_database_are_updated(resources):
    database = resources.database()
    wanted = {"CatalogId": ACCOUNT, "DatabaseInput": {"Description": "new"}}
    resources.update(types.DATABASE, wanted, database)
    name = database["Id"]
    assert resources.call("glue", "GetDatabase", Name=name)["Database"]["Description"] == "new"

    table = resources.table(name, Name="t")
    wanted = {
        "CatalogId": ACCOUNT,
        "DatabaseName": name,
        "TableInput": {"Name": "t", "Description": "new"},
    }
    resources.update(types.TABLE, wanted, table)
    stored = resources.call("glue", "GetTable", DatabaseName=name, Name="t")["Table"]
    assert stored["Description"] == "new"


def test_what_only_a_new_resource_can_take_is_not_updated(resources):
    model = resources.model(ModelName="mine")
    with pytest.raises(ResourceFailed) as caught:
        resources.update(types.MODEL, {"ModelName": "other"}, model)
    assert caught.value.reason.startswith(
        f"Resource of type 'AWS::SageMaker::Model' with identifier '{model['Id']}' cannot be "
    )


# Delete and read


def test_what_is_gone_already_can_be_deleted(resources):
    database = resources.database()
    made = [
        (types.MODEL, resources.model()),
        (types.ENDPOINT_CONFIG, resources.config()),
        (types.JOB, resources.create(types.JOB, {"Role": ROLE, "Command": SHELL})),
        (types.TABLE, resources.table(database["Id"], Name="t")),
        (types.DATABASE, database),
    ]
    for kind, model in made:
        resources.delete(kind, model)
        assert resources.provider(kind).read(model) is None
        resources.delete(kind, model)


def test_read_answers_the_attributes(resources):
    model = resources.model()
    known = {name: model[name] for name in ("ModelName",)}
    assert resources.provider(types.MODEL).read(known)["Id"] == model["ModelArn"]
