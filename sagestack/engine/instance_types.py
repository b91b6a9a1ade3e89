"""What an instance type would have: cores and memory, from its name.

`ml.m5.2xlarge` is family m, generation 5, size 2xlarge. Sizes and memory per core are
EC2's: c has 2 GiB a core, m and t have 4, r has 8. Accelerated families have no such rule
and set no limit here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

GIB_PER_CORE = {"c": 2, "m": 4, "t": 4, "r": 8}
CORES = {"medium": 1, "large": 2, "xlarge": 4, "metal": 96}
NAME = re.compile(r"ml\.([cmrt])(\d)[a-z-]*\.((\d*)(medium|large|xlarge|metal))")
GIB = 1024**3


@dataclass(frozen=True)
class Limits:
    """What a job's processes may use. 0 is no limit."""

    cores: int = 0
    memory: int = 0
    """Bytes of private memory of each process."""


def limits_of(instance_type: str) -> Limits:
    match = NAME.match(instance_type)
    if match is None:
        return Limits()
    family, _, _, times, size = match.groups()
    cores = CORES[size] * int(times or 1)
    memory = cores * GIB_PER_CORE[family] * GIB
    # Burstable types have two cores from `medium` on, and half the memory a core there.
    return Limits(max(cores, 2) if family == "t" else cores, memory)
