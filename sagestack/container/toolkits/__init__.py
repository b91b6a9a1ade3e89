"""Modules of AWS's containers that users' scripts import, beside their frameworks.

This folder is on the PYTHONPATH of the framework images, after what is the user's. The
packages have AWS's names and those of their functions that scripts call; the work is done by
the modules that do it for the built-in algorithm and the model server.
"""
