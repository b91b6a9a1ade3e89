"""Doubles every number of its input, and fails where it is told to."""

import sys

if "--fail" in sys.argv:
    raise ValueError("told to fail")
with open("/opt/ml/processing/input/data/data.csv") as file:
    numbers = [int(line) for line in file]
with open("/opt/ml/processing/output/doubled.csv", "w") as file:
    file.writelines(f"{2 * number}\n" for number in numbers)
print(f"doubled {len(numbers)} numbers")
