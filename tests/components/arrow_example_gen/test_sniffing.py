"""How a file seems to be written: guessed from its beginning, right for what is common, said where it is not sure."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from components.arrow_example_gen.sniffing import sniff

GERMAN = "Stadt;Größe;Preis\nKöln;1.234,5;7\nBonn;2,25;8\nBerlin;-;9\n"


@pytest.mark.parametrize(
    ("content", "changed"),
    [
        ("a,b\n1,x\n2.5,y\n", {}),
        ("a;b\n1;x, y\n2.5;y\n", {"delimiter": ";"}),
        ("a\tb\n1\tx\n", {"delimiter": "\t"}),
        ("a|b|c\n1|x|2\n", {"delimiter": "|"}),
        ("a;b\n1,5;x\n12,25;y\n", {"delimiter": ";", "decimal": ","}),
        ("a;b\n1.234,5;x\n2,25;y\n", {"delimiter": ";", "decimal": ",", "thousands": "."}),
        ('a,b\n"1,234",x\n"12,345",y\n7,z\n', {"thousands": ","}),
        ('a,b\n"8,241.00",x\n"1,000.50",y\n', {"thousands": ","}),
        ("a;b\n1 234,5;x\n12 345,0;y\n", {"delimiter": ";", "decimal": ",", "thousands": " "}),
        ("a;b\n1'234.5;x\n12'345;y\n", {"delimiter": ";", "thousands": "'"}),
        ("a,b\n1,x\nNA,y\n?,z\n3,z\n", {"null_values": ("?", "NA")}),
        ("a, b\n1, x\n2, ?\n3, y\n", {"null_values": ("?",)}),
        ("a,b\n1,NA\n2,x\n3,None\n", {}),
        ("a,b\n1,x\n ,y\n2,y\n", {"null_values": (" ",)}),
        ("a,b\n1.234,x\n2.345,y\n", {}),
        ("d,b\n2024-01-02,x\n2024-01-03,y\n", {}),
        ("name\nx\ny\n", {}),
        ("", {}),
        (GERMAN.encode(), {"delimiter": ";", "decimal": ",", "thousands": ".", "null_values": ("-",)}),
        (
            GERMAN.encode("cp1252"),
            {"delimiter": ";", "decimal": ",", "thousands": ".", "null_values": ("-",), "encoding": "cp1252"},
        ),
        (
            GERMAN.encode("utf-16"),
            {"delimiter": ";", "decimal": ",", "thousands": ".", "null_values": ("-",), "encoding": "utf-16"},
        ),
        ("a,b\n1,x\n".encode("utf-16-le"), {"encoding": "utf-16-le"}),
        (b"\xef\xbb\xbfa,b\n1,x\n", {}),
    ],
)
def test_the_way_a_file_is_written_is_found(tmp_path: Path, content: str | bytes, changed: object) -> None:
    data = content.encode() if isinstance(content, str) else content
    (tmp_path / "a.csv").write_bytes(data)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(data))
    assert sniff(str(tmp_path / "a.csv")).reading.changed() == changed
    assert sniff(str(tmp_path / "b.csv.gz")).reading.changed() == changed


def test_the_columns_are_those_of_the_header_without_its_mark(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("\ufeff Größe ;b\n1;2\n".encode())
    assert sniff(str(tmp_path / "a.csv")).columns == ("Größe", "b")


def test_what_is_not_sure_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a;b\n1,234;x\n2,345;y\n")
    (tmp_path / "b.csv").write_bytes(b"a,b\n1,\xe9t\xe9\n")
    assert "'1,234' could be thousands or fractions" in sniff(str(tmp_path / "a.csv")).unsure[0]
    assert "cp1252" in sniff(str(tmp_path / "b.csv")).unsure[0]


def test_a_letter_that_the_first_megabyte_cuts_does_not_change_the_encoding(tmp_path: Path) -> None:
    data = b"a,b\n" + "1,é\n".encode() * 300_000
    for shift in range(5):
        (tmp_path / "a.csv").write_bytes(data[:4] + b"1" * shift + data[4:])
        assert sniff(str(tmp_path / "a.csv")).reading.encoding == "utf-8"
