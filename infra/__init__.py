"""The reference platform as AWS CDK stacks.

jsii, which runs the CDK's constructs, needs node. The one that `make setup` puts beside this
environment's Python is used when there is one, whatever PATH says: its version is locked.
"""

import os
import sys
from pathlib import Path

_node = Path(sys.executable).with_name("node")
if _node.exists():
    os.environ.setdefault("JSII_NODE", str(_node))
