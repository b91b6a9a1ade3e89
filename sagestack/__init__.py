"""sagestack: SageMaker and Glue that really run, as a plugin for LocalStack."""

__version__ = "0.1.0"
