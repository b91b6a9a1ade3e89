"""What every AWS API shares: operation registry, validation, errors, ARNs, the store.

Knows no kind of resource and imports nothing else of sagestack.
"""
