"""The evaluation job: right numbers from the test split, through the artifact's own code."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.unit.scripts import load_script


@pytest.fixture(scope="module")
def job() -> Any:
    return load_script("processing/evaluate")


@pytest.fixture
def base(trained: Path, splits: dict[str, pd.DataFrame], tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "test").mkdir()
    with tarfile.open(tmp_path / "model" / "model.tar.gz", "w:gz") as tar:
        for path in sorted((trained / "model").iterdir()):
            if path.name != "__pycache__":
                tar.add(path, arcname=path.name)
    splits["test"].to_csv(tmp_path / "test" / "flights.csv", index=False)
    return tmp_path


def report_of(job: Any, base: Path) -> dict[str, Any]:
    job.main(["--base", str(base)])
    report: dict[str, Any] = json.loads((base / "evaluation/evaluation.json").read_text())
    return report


def test_the_report_has_the_form_of_sagemakers_model_quality(job: Any, base: Path) -> None:
    report = report_of(job, base)
    for part in ("binary_classification_metrics", "heuristic_baseline_metrics"):
        for name in ("auc", "accuracy", "precision", "recall", "log_loss", "base_rate"):
            assert set(report[part][name]) == {"value", "standard_deviation"}
    matrix = report["confusion_matrix"]
    assert sum(matrix[a][b] for a in "01" for b in "01") == report["rows"]


def test_the_model_beats_the_baseline_on_flights_it_has_not_seen(job: Any, base: Path) -> None:
    report = report_of(job, base)
    model, baseline = (
        report[part]["auc"]["value"]
        for part in ("binary_classification_metrics", "heuristic_baseline_metrics")
    )
    assert model > baseline > 0.5


def test_the_numbers_come_from_the_test_split_alone(
    job: Any, base: Path, splits: dict[str, pd.DataFrame]
) -> None:
    report = report_of(job, base)
    assert report["rows"] == len(splits["test"])
    rate = report["binary_classification_metrics"]["base_rate"]["value"]
    assert rate == pytest.approx(splits["test"]["late"].mean())


def test_a_rerun_gives_the_same_report(job: Any, base: Path) -> None:
    assert report_of(job, base) == report_of(job, base)


def test_groups_add_up_to_the_whole(job: Any, base: Path) -> None:
    report = report_of(job, base)
    assert set(report["calibration_by_month"]) == {"2013-01", "2013-02"}
    for group in (report["calibration_by_month"], *report["segments"].values()):
        assert sum(part["rows"] for part in group.values()) == report["rows"]


def test_scores_of_a_small_case_worked_out_by_hand(job: Any) -> None:
    label = np.array([1, 1, 0, 0])
    probability = np.array([0.9, 0.4, 0.6, 0.1])
    scores = job.logic.measure(label, probability, 0.5)
    assert scores["auc"] == 0.75
    assert scores["accuracy"] == scores["precision"] == scores["recall"] == 0.5
    assert job.logic.confusion(label, probability >= 0.5) == {
        "0": {"0": 1, "1": 1},
        "1": {"0": 1, "1": 1},
    }


@pytest.mark.parametrize("label", [[0, 0, 0], [1, 1, 1]])
def test_one_class_alone_gives_numbers_and_no_nan(job: Any, label: list[int]) -> None:
    scores = job.logic.measure(np.array(label), np.array([0.1, 0.2, 0.3]), 0.5)
    assert all(np.isfinite(value) for value in scores.values())


@pytest.mark.parametrize("bad", [[0.5, np.nan], [0.5, 1.5], [0.5]])
def test_an_answer_that_is_no_probability_is_refused(job: Any, bad: list[float]) -> None:
    frame = pd.DataFrame({"late": [0, 1], "year": 2013, "month": 1, "origin": "A", "carrier": "B"})
    with pytest.raises(ValueError, match="model: "):
        job.logic.evaluate(frame, np.array(bad), np.array([0.5, 0.5]), 0.5)


def test_an_archive_that_leaves_its_folder_is_refused(job: Any, tmp_path: Path) -> None:
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        member = tarfile.TarInfo("../escaped.txt")
        member.size = 2
        tar.addfile(member, io.BytesIO(b"hi"))
    with pytest.raises(tarfile.OutsideDestinationError):
        job.unpack(archive, tmp_path / "inside")
    assert not (tmp_path / "escaped.txt").exists()


def test_old_pythons_refuse_it_too(
    job: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        link = tarfile.TarInfo("code")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(link)
    monkeypatch.delattr(tarfile, "data_filter")
    with pytest.raises(ValueError, match="refused member 'code'"):
        job.unpack(archive, tmp_path / "inside")


def test_an_artifact_without_serving_code_is_refused(job: Any, base: Path) -> None:
    with tarfile.open(base / "model" / "model.tar.gz", "w:gz"):
        pass
    with pytest.raises(FileNotFoundError, match=r"no code/inference\.py"):
        job.main(["--base", str(base)])


def test_no_test_flights_are_refused(job: Any, base: Path) -> None:
    (base / "test" / "flights.csv").unlink()
    with pytest.raises(FileNotFoundError, match="no CSV files"):
        job.main(["--base", str(base)])
