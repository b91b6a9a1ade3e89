"""The CDK app: `cdk synth` runs this file. `-c env=local|dev|prod` chooses the environment."""

from infra.app import build

build().synth()
