"""Rows copied and drawn from files outside of HOME."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from pipelines.base.csv_reading import CsvReading
from pipelines.base.errors import ProjectError
from pipelines.base.tabular import files


def rows_of(folder: Path, delimiter: str = ",", encoding: str = "utf-8") -> list[dict[str, str]]:
    with (folder / "sample.csv").open(encoding=encoding, newline="") as stream:
        return list(csv.DictReader(stream, delimiter=delimiter))


def test_a_sample_is_rows_of_the_source_in_an_order_that_the_seed_decides(tmp_path: Path) -> None:
    source = tmp_path / "t.csv"
    source.write_text("a,b\n" + "".join(f'{n},"x\n{n}"\n' for n in range(50)), encoding="utf-8")
    drawn = []
    for place, seed in enumerate((3, 3, 4)):
        folder = tmp_path / str(place)
        folder.mkdir()
        files.draw(source, folder, 20, seed, CsvReading())
        drawn.append(rows_of(folder))
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0]) == 20 and all(row["b"] == f"x\n{row['a']}" for row in drawn[0])


def test_a_sample_is_written_as_its_source_is(tmp_path: Path) -> None:
    source = tmp_path / "t.csv"
    source.write_text("a;b\n1,5;Zürich\n2,5;Genève\n", encoding="latin-1")
    files.draw(source, tmp_path, 9, 1, CsvReading(delimiter=";", decimal=",", encoding="latin-1"))
    assert sorted(row["b"] for row in rows_of(tmp_path, ";", "latin-1")) == ["Genève", "Zürich"]


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table({"a": pa.array([1, None, 3], pa.int16())})
    parquet.write_table(table, str(tmp_path / "t.parquet"))
    (tmp_path / "out").mkdir()
    files.draw(tmp_path / "t.parquet", tmp_path / "out", 2, 1, CsvReading())
    assert parquet.read_table(str(tmp_path / "out" / "sample.parquet")).schema == table.schema


def test_a_folder_is_copied_with_its_folders_and_without_what_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "in" / "may").mkdir(parents=True)
    for name in ("april.csv", "may/rows.csv"):
        (tmp_path / "in" / name).write_text("a\n1\n")
    (tmp_path / "in" / "_SUCCESS").touch()
    files.copy(tmp_path / "in", tmp_path / "out")
    found = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert found == ["april.csv", "may/rows.csv"]


def test_a_source_that_is_gone_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"Put its new place into SOURCE in data.py"):
        files.copy(tmp_path / "gone.csv", tmp_path)
