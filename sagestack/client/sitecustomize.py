"""Python runs this at its start in a shell that `sagestack env` has set up.

The SageMaker SDK asks botocore for the address of STS in a way that no variable reaches: with
a loader that knows botocore's own data and ~/.aws/models. This makes it know the instance's
directory instead of the latter, when botocore is imported, and costs nothing before.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys


class LoaderFinder(importlib.abc.MetaPathFinder):
    """Finds botocore.loaders once, as it would be found, and sets where it looks for data."""

    def find_spec(self, name, path=None, target=None):
        if name != "botocore.loaders":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            module.Loader.CUSTOMER_DATA_PATH = os.environ["SAGESTACK_CLIENT_DATA"]

        spec.loader.exec_module = exec_module
        return spec


if "SAGESTACK_CLIENT_DATA" in os.environ:
    sys.meta_path.insert(0, LoaderFinder())

# The environment may have a sitecustomize of its own, which this one hides.
here = os.path.dirname(os.path.abspath(__file__))
others = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
hidden = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
if hidden is not None and hidden.loader is not None:
    hidden.loader.exec_module(importlib.util.module_from_spec(hidden))
