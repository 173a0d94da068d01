"""A small file that unpacks to a large one is refused before it fills memory, by name."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from components import unpacking
from components.shards import InputError
from pipelines.base.paths import CHECKOUT


def packed(members: dict[str, bytes]) -> zipfile.ZipFile:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return zipfile.ZipFile(content)


def test_a_member_and_the_whole_have_limits_and_what_is_small_is_let_through() -> None:
    mega = 1 << 20
    unpacking.check_archive("a.zip", packed({"x": bytes(60 * mega)}), 60_000)
    with pytest.raises(InputError, match=r"a\.zip!y would unpack to 65 MB, expected at most 64 MB"):
        unpacking.check_archive("a.zip", packed({"x": b"1", "y": bytes(65 * mega)}), 65_000)
    with pytest.raises(InputError, match=r"a\.zip: its 2 members would unpack to 100 MB"):
        unpacking.check_archive("a.zip", packed({"x": bytes(50 * mega), "y": bytes(50 * mega)}), 100_000)


def test_a_gzip_stream_is_read_up_to_its_limit(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(80 << 20))
    stream = unpacking.Unpacked(io.BytesIO(bomb), "a.csv.gz", len(bomb))
    with pytest.raises(InputError, match=r"a\.csv\.gz would unpack to more than 64 MB.*unpack it before"):
        while stream.read(1 << 20):
            pass
    noise = gzip.compress(bytes(range(256)) * 10)
    assert len(unpacking.Unpacked(io.BytesIO(noise), "a.csv.gz", len(noise)).read()) == 2560


def test_a_table_that_is_a_bomb_takes_little_memory(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.csv.gz", "wb", 9) as file:
        file.write(b"x\n" + b"0\n" * (1 << 19))
        for _ in range(100):
            file.write(b"0\n" * (1 << 19))
    program = (
        "import resource, sys\n"
        "from components.arrow_example_gen.reading import csv_rows, pieces\n"
        "from components.arrow_example_gen.reading.files import find_files, read_header\n"
        "from components.arrow_example_gen.options import Options\n"
        "file, = find_files(sys.argv[1], '*')\n"
        "piece, = pieces.csv_pieces(file, read_header(file, Options()), Options())\n"
        "import pyarrow.csv, pyarrow.compute, numpy\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: csv_rows.infer(piece, ['x'], {}, Options())\n"
        "except ValueError as error: print(error)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        check=True,
    )
    message, grown = done.stdout.splitlines()
    assert "a.csv.gz would unpack to more than 64 MB" in message
    assert int(grown) < 200, "megabytes"


def test_a_size_that_is_only_claimed_takes_no_memory() -> None:
    assert unpacking.read_at_most(io.BytesIO(b"abc"), 1 << 50) == b"abc"
    assert unpacking.read_at_most(io.BytesIO(b"abc"), 2) == b"ab"
