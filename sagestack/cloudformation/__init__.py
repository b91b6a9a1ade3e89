"""CloudFormation: one resource provider, driven by the registry schemas."""
