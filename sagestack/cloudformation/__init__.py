"""CloudFormation: one resource provider for all resource types, driven by their schemas.

`types` says which operations stand behind a type; `provider` creates, updates and
deletes with them. Imports no LocalStack: `sagestack.localstack.cloudformation` plugs it in.
"""
