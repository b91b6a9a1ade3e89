"""SageMaker: one file per kind of resource."""
