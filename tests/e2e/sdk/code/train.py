"""Trains nothing much: a line's slope, whose score is best at 2."""

import argparse
import json
import os

from helper import rows

parser = argparse.ArgumentParser()
parser.add_argument("--slope", type=float)
slope = parser.parse_args().slope
if slope < 0:
    raise ValueError("the slope is negative")
print(f"rows={rows(os.environ['SM_CHANNEL_TRAIN'])};")
print(f"score={1 - (slope - 2) ** 2:.6f};")
with open(os.path.join(os.environ["SM_MODEL_DIR"], "model.json"), "w") as file:
    json.dump({"slope": slope}, file)
