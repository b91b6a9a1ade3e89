"""What every job shares: images, sandbox, S3 channels, logs, metrics, the executor.

Knows no AWS API: services compose these parts and own the records. Imports nothing else
of sagestack.
"""
