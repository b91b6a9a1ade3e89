"""Programs that run inside images, under other interpreters, started by their path.

They import the standard library and what the image's lock names, and nothing of sagestack.
"""
