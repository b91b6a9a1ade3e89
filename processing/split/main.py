"""SageMaker processing job: curated Parquet to train, validation and test CSV.

Reads  <base>/input/flights/year=Y/month=M/*.parquet
Writes <base>/output/{train,validation,test}/flights.csv and <base>/output/report/split.json,
where <base> is /opt/ml/processing. The same input gives byte-identical output.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import logic
import pandas as pd


def read_curated(folder: Path) -> pd.DataFrame:
    """Every Parquet file below the folder, with year and month from its path.

    FileNotFoundError when there is none.
    """
    frames = []
    for path in sorted(folder.rglob("*.parquet")):
        frame = pd.read_parquet(path)
        for part in path.relative_to(folder).parts:
            name, equals, value = part.partition("=")
            if equals:
                frame[name] = int(value)
        frames.append(frame)
    if not frames:
        raise FileNotFoundError(f"no Parquet files below {folder}")
    return pd.concat(frames, ignore_index=True)


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Command line; `--months` is a comma-separated list of YYYY-MM, empty for all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, default=Path("/opt/ml/processing"))
    parser.add_argument("--months", default="")
    parser.add_argument("--train", type=float, default=0.70)
    parser.add_argument("--validation", type=float, default=0.15)
    parser.add_argument("--test", type=float, default=0.15)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Entry point in the container."""
    arguments = parse_arguments(argv)
    months = [month.strip() for month in arguments.months.split(",") if month.strip()]
    frame = logic.select_months(read_curated(arguments.base / "input" / "flights"), months)
    splits = logic.split(frame, (arguments.train, arguments.validation, arguments.test))
    output = arguments.base / "output"
    for name, part in splits.items():
        folder = output / name
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "flights.csv", "w", encoding="utf-8", newline="") as file:
            part.to_csv(file, index=False)
    report = logic.summarise(splits, len(frame))
    (output / "report").mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=2, sort_keys=True)
    (output / "report" / "split.json").write_text(text, encoding="utf-8")
    print(json.dumps(report, sort_keys=True))


if __name__ == "__main__":
    main()
