"""DataGate: refused and tolerated defects, and their report."""

import json
from dataclasses import dataclass

import pyarrow as pa
import pytest
from tensorflow_metadata.proto.v0 import anomalies_pb2

from components.data_gate import check_data
from components.errors import GateRefused
from components.features import BAD_LABEL
from components.ingest import manifest
from components.ingest.data_gates import DataGates
from components.ingest.data_verdict import judge

LABELS = ["cat", "rote Käfer"]


def row(name, split="train", label=0, verdict="ok", sha256=None):
    return {
        "file_name": name, "sha256": sha256 or name, "label": label, "size": 9, "width": 8, "height": 8,
        "split": split, "verdict": verdict,
    }  # fmt: skip


def good_rows(count=100):
    return [row(f"{split}/{i}.png", split, i % 2) for split in ("train", "validation", "test") for i in range(count)]


def verdict_of(rows, anomalies=None, **gates):
    table = pa.Table.from_pylist(rows, manifest.SCHEMA)
    quarantine = [bad | {"reason": f"it is {bad['verdict']}"} for bad in rows if bad["verdict"] != "ok"]
    return judge(table, quarantine, LABELS, anomalies or {}, DataGates(**gates))


def anomaly(severity, split="train"):
    found = anomalies_pb2.Anomalies()
    found.anomaly_info["width"].severity = severity
    found.anomaly_info["width"].short_description = "Unexpected data type"
    return {split: found}


def test_good_data_passes_without_findings():
    verdict = verdict_of(good_rows())
    assert verdict.findings == ()
    assert verdict.images == {"train": 100, "validation": 100, "test": 100}
    assert verdict.to_text().startswith("accepted: 100 train images")


@pytest.mark.parametrize("bad", ["no image", "damaged", "empty", "too large", "too small"])
def test_broken_files_beyond_the_share_are_refused_by_name(bad):
    verdict = verdict_of([*good_rows(), row("x/broken.jpg", verdict=bad)])
    [finding] = verdict.refusals
    assert finding.files == (f"x/broken.jpg: it is {bad}",)
    assert "1 of 301 files (0.33 %, limit 0.1 %) cannot be used (x/broken.jpg" in verdict.message()
    assert "--gates.max-broken-percent" in verdict.message()


def test_broken_files_within_the_share_are_tolerated_and_reported():
    verdict = verdict_of([*good_rows(), row("x/broken.jpg", verdict="damaged")], max_broken_percent=0.34)
    assert verdict.refusals == ()
    assert [finding.kind for finding in verdict.findings] == ["broken"]
    assert "[tolerated] 1 of 301 files" in verdict.to_text()


def test_the_first_files_are_named_and_all_are_in_the_report():
    verdict = verdict_of([*good_rows(), *(row(f"x/{i}.jpg", verdict="damaged") for i in range(9))])
    assert "x/2.jpg: it is damaged, and 6 more" in verdict.message()
    assert len(json.loads(verdict.to_json())["findings"][0]["files"]) == 9
    assert all(f"x/{i}.jpg" in verdict.to_text() for i in range(9))


def test_an_image_in_two_splits_is_refused():
    verdict = verdict_of([*good_rows(), row("test/copy.png", "test", sha256="train/0.png")])
    [finding] = verdict.refusals
    assert finding.kind == "leaked"
    assert finding.files == ("test: test/copy.png = train: train/0.png",)
    assert "2 of 301 images" in finding.sentence
    assert verdict_of([*good_rows(), row("c.png", "test", sha256="train/0.png")], max_leaked_percent=1).refusals == ()


def test_a_copy_in_the_same_split_is_no_leak():
    assert verdict_of([*good_rows(), row("train/copy.png", "train", sha256="train/0.png")]).findings == ()


def test_a_broken_copy_is_no_leak():
    rows = [*good_rows(1000), row("a.png", "train", verdict="damaged", sha256="x"),
            row("b.png", "test", verdict="damaged", sha256="x")]  # fmt: skip
    assert verdict_of(rows).refusals == ()


def test_a_class_that_is_missing_from_a_split_is_refused():
    rows = [entry for entry in good_rows() if not (entry["split"] == "test" and entry["label"] == 1)]
    [finding] = verdict_of(rows).refusals
    assert finding.sentence == "1 of 2 classes have no image in the test split (rote Käfer)"
    assert verdict_of(rows, allow_missing_classes=True).refusals == ()


def test_a_class_whose_only_files_are_broken_is_missing():
    rows = [entry | {"verdict": "damaged"} if entry["split"] == "test" and entry["label"] else entry
            for entry in good_rows()]  # fmt: skip
    assert "missing class" in {finding.kind for finding in verdict_of(rows, max_broken_percent=100).refusals}


def test_a_label_that_is_out_of_range_is_refused_however_few():
    rows = [*good_rows(100_0), row("x.png", label=7, verdict=BAD_LABEL)]
    [finding] = verdict_of(rows, max_broken_percent=100).refusals
    assert finding.files == ("x.png: it is label out of range",)


def test_names_with_commas_are_told_apart():
    rows = [row(f"{split}/0.png", split, 0) for split in ("train", "validation", "test")]
    verdict = judge(pa.Table.from_pylist(rows, manifest.SCHEMA), [], ["cat", "a, b", "c, d"], {}, DataGates())
    assert "2 of 3 classes have no image in the train split ('a, b', 'c, d')" in verdict.message()


def test_a_class_that_train_lacks_is_no_anomaly_besides():
    found = anomalies_pb2.Anomalies()
    info = found.anomaly_info["label_name"]
    info.severity = anomalies_pb2.AnomalyInfo.ERROR
    info.reason.add(type=anomalies_pb2.AnomalyInfo.ENUM_TYPE_UNEXPECTED_STRING_VALUES)
    assert verdict_of(good_rows(), {"test": found}).findings == ()
    info.reason.add(type=anomalies_pb2.AnomalyInfo.FEATURE_TYPE_NOT_PRESENT)
    assert [finding.kind for finding in verdict_of(good_rows(), {"test": found}).refusals] == ["anomaly"]


def test_anomalies_that_are_errors_are_refused_and_warnings_reported():
    verdict = verdict_of(good_rows(), anomaly(anomalies_pb2.AnomalyInfo.ERROR, "test"))
    assert "feature 'width' of the test split: Unexpected data type" in verdict.message()
    verdict = verdict_of(good_rows(), anomaly(anomalies_pb2.AnomalyInfo.WARNING))
    assert (len(verdict.findings), verdict.refusals) == (1, ())
    verdict = verdict_of(good_rows(), {"test": anomalies_pb2.Anomalies(data_missing=True)})
    assert "the test split holds no examples" in verdict.message()


def test_json_holds_the_gates_of_the_data_only():
    @dataclass(frozen=True)
    class AllGates(DataGates):
        max_top1_error: float = 5.0

    gates = AllGates(max_broken_percent=2, allow_missing_classes=True)
    assert DataGates.from_json(gates.to_json()) == DataGates(max_broken_percent=2, allow_missing_classes=True)


@pytest.fixture
def artifacts(tmp_path):
    """Folders of an Examples and an ExampleAnomalies artifact; a function that fills them."""

    def fill(rows, anomalies):
        examples = tmp_path / "examples"
        examples.mkdir()
        table = pa.Table.from_pylist(rows, manifest.SCHEMA)
        manifest.write_manifest(examples, table)
        manifest.write_labels(examples, LABELS)
        manifest.write_quarantine(examples, [bad | {"reason": "bad"} for bad in rows if bad["verdict"] != "ok"])
        for split, found in anomalies.items():
            (tmp_path / "anomalies" / f"Split-{split}").mkdir(parents=True)
            (tmp_path / "anomalies" / f"Split-{split}" / "SchemaDiff.pb").write_bytes(found.SerializeToString())
        return examples, tmp_path / "anomalies", DataGates(), tmp_path / "report", tmp_path / "logs" / "run"

    return fill


def test_the_report_is_written_beside_the_logs_before_a_refusal(artifacts, tmp_path):
    arguments = artifacts([*good_rows(), row("x.jpg", verdict="empty")], anomaly(anomalies_pb2.AnomalyInfo.ERROR))
    with pytest.raises(GateRefused) as refusal:
        check_data(*arguments)
    report = tmp_path / "logs" / "run" / "data_gate.txt"
    assert str(refusal.value).endswith(f"; all files are listed in {report}")
    assert "\n" not in str(refusal.value)
    assert refusal.value.exit_code == 3
    assert "x.jpg" in report.read_text(encoding="utf-8")
    assert json.loads(report.with_suffix(".json").read_text(encoding="utf-8"))["refused"]


def test_the_report_is_an_artifact_when_the_data_passes(artifacts, tmp_path):
    check_data(*artifacts(good_rows(), {}))
    assert not json.loads((tmp_path / "report" / "data_gate.json").read_text())["refused"]
    assert (tmp_path / "logs" / "run" / "data_gate.txt").exists()
