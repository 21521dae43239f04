"""Verdict on the data of a run, from the record of its ingest and the anomalies that ExampleValidator found."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.compute as pc
from tensorflow_metadata.proto.v0 import anomalies_pb2

from components.features import BAD_LABEL, LABEL_NAME, OK, SPLITS
from components.ingest.data_gates import DataGates

_NAMED = 3  # files named in a message; the report names all of them


@dataclass(frozen=True)
class Finding:
    """Defect of the data.

    Args:
        kind: "broken", "leaked", "missing class", "label out of range" or "anomaly".
        sentence: Description of the defect with its extent and the first files or classes concerned.
        refused: Whether it stops the run.
        cure: Advice to the user.
        files: Names of all files or classes concerned.
    """

    kind: str
    sentence: str
    refused: bool
    cure: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """Result of judging the data.

    Args:
        images: Number of usable images per split.
        findings: All defects, tolerated or not.

    Example:
        >>> finding = Finding("leaked", "2 of 9 images are in two splits", refused=True, cure="remove one copy")
        >>> Verdict({"train": 9}, (finding,)).message()
        'the data was refused: 2 of 9 images are in two splits; cure: remove one copy'
    """

    images: dict[str, int]
    findings: tuple[Finding, ...]

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """Findings that stop the run."""
        return tuple(finding for finding in self.findings if finding.refused)

    def message(self) -> str:
        """Returns all refusals with their cures as one error message."""
        found = "; ".join(finding.sentence for finding in self.refusals)
        cures = "; ".join(dict.fromkeys(finding.cure for finding in self.refusals))
        return f"the data was refused: {found}; cure: {cures}"

    def to_json(self) -> str:
        """Returns the whole verdict with the names of all files as JSON."""
        return json.dumps({"refused": bool(self.refusals), **asdict(self)}, indent=2, ensure_ascii=False) + "\n"

    def to_text(self) -> str:
        """Returns the whole verdict with the names of all files as text."""
        lines = [f"{'REFUSED' if self.refusals else 'accepted'}: " + _counts(self.images), ""]
        for finding in self.findings:
            lines.append(f"[{'refused' if finding.refused else 'tolerated'}] {finding.sentence} ({finding.cure})")
            lines += [f"    {file}" for file in finding.files]
        return "\n".join(lines) + "\n"


def judge(
    manifest: pa.Table,
    quarantine: Sequence[Mapping],
    labels: Sequence[str],
    anomalies: Mapping[str, anomalies_pb2.Anomalies],
    gates: DataGates,
) -> Verdict:
    """Judges the data of a run.

    Args:
        manifest: One row per file, with the columns of `components.ingest.manifest.SCHEMA`.
        quarantine: Files that were left out, each with the manifest's columns and "reason".
        labels: Names of the classes in index order.
        anomalies: Anomalies that ExampleValidator found, by split.
        gates: Tolerated defects.
    """
    usable = manifest.filter(pc.equal(manifest["verdict"], OK))
    per_split = {split: pc.sum(pc.equal(usable["split"], split)).as_py() or 0 for split in SPLITS}
    findings = [
        *_bad_labels(quarantine),
        *_broken(quarantine, manifest.num_rows, gates.max_broken_percent),
        *_leaked(usable, gates.max_leaked_percent),
        *_missing_classes(usable, labels, gates.allow_missing_classes),
        *_anomalies(anomalies),
    ]
    return Verdict(per_split, tuple(findings))


def _broken(quarantine: Sequence[Mapping], files: int, limit: float) -> list[Finding]:
    rows = [row for row in quarantine if row["verdict"] != BAD_LABEL]
    if not rows:
        return []
    percent = 100 * len(rows) / files
    names = tuple(f"{row['file_name']}: {row['reason']}" for row in rows)
    sentence = f"{len(rows)} of {files} files ({percent:.2g} %, limit {limit:g} %) cannot be used ({_first(names)})"
    cure = "repair or remove these files, or raise --gates.max-broken-percent"
    return [Finding("broken", sentence, percent > limit, cure, names)]


def _bad_labels(quarantine: Sequence[Mapping]) -> list[Finding]:
    names = tuple(f"{row['file_name']}: {row['reason']}" for row in quarantine if row["verdict"] == BAD_LABEL)
    if not names:
        return []
    sentence = f"{len(names)} images have a label that is out of range ({_first(names)})"
    return [Finding(BAD_LABEL, sentence, True, "correct these labels in the data set", names)]


def _leaked(usable: pa.Table, limit: float) -> list[Finding]:
    places = usable.group_by("sha256").aggregate([("split", "count_distinct")])
    leaked = places.filter(pc.greater(places["split_count_distinct"], 1))["sha256"]
    rows = usable.filter(pc.is_in(usable["sha256"], value_set=leaked.combine_chunks())).sort_by("sha256")
    if not rows.num_rows:
        return []
    percent = 100 * rows.num_rows / usable.num_rows
    copies: dict[str, list[str]] = {}
    for row in rows.select(["sha256", "split", "file_name"]).to_pylist():
        copies.setdefault(row["sha256"], []).append(f"{row['split']}: {row['file_name']}")
    names = tuple(" = ".join(sorted(places)) for places in copies.values())
    sentence = (
        f"{rows.num_rows} of {usable.num_rows} images ({percent:.2g} %, limit {limit:g} %) are in more than one split"
        f" ({_first(names)})"
    )
    cure = "keep each image in one split only, or raise --gates.max-leaked-percent"
    return [Finding("leaked", sentence, percent > limit, cure, names)]


def _missing_classes(usable: pa.Table, labels: Sequence[str], allowed: bool) -> list[Finding]:
    findings = []
    for split in SPLITS:
        there = set(pc.unique(usable.filter(pc.equal(usable["split"], split))["label"]).to_pylist())
        # Quotes where a name contains a comma itself, as the words of a synset do.
        names = tuple(repr(name) if "," in name else name for index, name in enumerate(labels) if index not in there)
        if names:
            sentence = f"{len(names)} of {len(labels)} classes have no image in the {split} split ({_first(names)})"
            cure = "add images of these classes, or set --gates.allow-missing-classes true"
            findings.append(Finding("missing class", sentence, not allowed, cure, names))
    return findings


def _anomalies(anomalies: Mapping[str, anomalies_pb2.Anomalies]) -> list[Finding]:
    findings = []
    for split, found in anomalies.items():
        for feature, info in sorted(found.anomaly_info.items()):
            if feature == LABEL_NAME and _all_unexpected_values(info):
                continue  # a class that the train split lacks; `_missing_classes` reports it
            sentence = f"feature {feature!r} of the {split} split: {info.short_description or info.description}"
            refused = info.severity == anomalies_pb2.AnomalyInfo.ERROR
            findings.append(Finding("anomaly", sentence, refused, "correct the data or the schema"))
        if found.data_missing:
            sentence = f"the {split} split holds no examples"
            findings.append(Finding("anomaly", sentence, True, "add images to the split, or increase its share"))
    return findings


def _all_unexpected_values(info: anomalies_pb2.AnomalyInfo) -> bool:
    kinds = {reason.type for reason in info.reason}
    return kinds == {anomalies_pb2.AnomalyInfo.ENUM_TYPE_UNEXPECTED_STRING_VALUES}


def _first(names: Sequence[str]) -> str:
    more = f", and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _counts(images_per_split: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {split} images" for split, count in images_per_split.items())
