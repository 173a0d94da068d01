"""CSV files whose rows name the span they belong to."""

from pathlib import Path


def fetch(folder: Path) -> None:
    sample(folder, 20, 0)


def sample(folder: Path, rows: int, seed: int) -> None:
    write(folder, rows, day=0)


def write(folder: Path, rows: int, day: int) -> None:
    folder.joinpath("rows.csv").write_text("day,value\n" + "".join(f"{day},{i}\n" for i in range(rows)))
