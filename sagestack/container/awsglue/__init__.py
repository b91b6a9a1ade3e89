"""The part of AWS Glue's Python package that Python shell jobs use.

Written from AWS's public documentation. Only `awsglue.utils` is here.
"""
