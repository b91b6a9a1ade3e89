"""The data plane: model servers, and what passes between them and the callers.

servers    all that run in an instance; the route table
route      an endpoint's variants and which of them answers
fleet      the servers of one variant
server     one model server: its container, health, restarts
transport  HTTP to a server, over TCP or a Unix socket
artifact   a model's files: brought from S3, kept, laid out for a server
capture    data capture to S3
metrics    invocation metrics to CloudWatch
batch      what the last two share

Knows no API and no record: `sagemaker.endpoint` composes these.
"""
