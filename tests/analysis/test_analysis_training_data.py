"""The report's words about training samples agree with the counts they are made of."""

from __future__ import annotations

from pathlib import Path

from analysis.reports.training_data import HEADING, trained_on
from analysis.run_folder.run import Run
from sim.results import columns
from sim.results.run_folder import table_of, write_table


def test_each_group_is_told_in_a_line(tmp_path: Path) -> None:
    counts = {"sensors": [[3, 5, 0], [4, 4, 0]], "novices": [[2, 2, 2]]}
    rows = [
        (group, variant, label, samples)
        for group, variants in counts.items()
        for variant, of_classes in enumerate(variants)
        for label, samples in enumerate(of_classes)
    ]
    table = dict(zip(("group", "variant", "class", "samples"), zip(*rows, strict=True), strict=True))
    whole = table | {"pool_samples": [9] * len(rows), "traffic_samples": [9] * len(rows)}
    write_table(tmp_path / "partitions.parquet", table_of(whole, columns.PARTITIONS))
    assert trained_on(Run(tmp_path, {}, "")) == {
        HEADING: [
            ("sensors", "8 samples, 3 to 5 of a class, none of 2"),
            ("novices", "6 samples, 2 of a class"),
        ]
    }


def test_a_folder_without_counts_says_nothing(tmp_path: Path) -> None:
    assert trained_on(Run(tmp_path, {}, "")) == {}
