"""SageMaker and Glue inside a test process, beside moto.

    from moto import mock_aws
    from sagestack.testing import mock_sagemaker

    @mock_aws
    @mock_sagemaker
    def test_model() -> None: ...

`mock` owns the instance, `interception` answers boto3's calls, `wire` gives requests and
answers the form they have after a way over the network, `host` is moto as the engine's host.
"""

from sagestack.testing.mock import MockSageMaker, mock_sagemaker

__all__ = ["MockSageMaker", "mock_sagemaker"]
