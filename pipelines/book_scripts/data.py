"""Where the text comes from: the manual of PostgreSQL 15, any text file, or made-up prose of the same kind.

Layout: one or more .txt files, one paragraph per line (empty lines do not count), in the order of the book.
`sample` writes prose that is hard in the ways a manual is: words as rare as Zipf's law has it, a vocabulary that
changes with the chapter, a subject that a paragraph keeps returning to, set phrases, and brackets and quotation
marks that must be closed many words later. Its words are made of syllables and mean nothing.
"""

from __future__ import annotations

import html
import io
import re
import tarfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipelines.base.errors import ProjectError
from pipelines.book_scripts.project import PROJECT
from pipelines.book_scripts.rows import MIN_PARAGRAPHS

SOURCE = "https://ftp.postgresql.org/pub/source/v15.0/postgresql-15.0.tar.gz"
FILE = "postgresql_15_manual.txt"
# Words of the sample that every chapter uses: verbs first, then adverbs.
COMMON = 160


def fetch(folder: Path) -> None:
    """Downloads PostgreSQL 15's source (29 MB) and keeps its manual's prose; ProjectError with the other way."""
    try:
        with urllib.request.urlopen(SOURCE, timeout=120) as response:
            content = response.read()
    except (urllib.error.URLError, OSError) as error:
        raise ProjectError(
            f"{PROJECT.name}: {SOURCE} cannot be fetched: {error}. Any text will do, one paragraph per line: "
            "viaduct run book_scripts --data BOOK.txt."
        ) from error
    (folder / FILE).write_text("\n".join(prose_of(content)) + "\n", encoding="utf-8")


def prose_of(archive: bytes) -> list[str]:
    """The paragraphs of the DocBook files in a .tar.gz of PostgreSQL's source, without markup and listings."""
    paragraphs: list[str] = []
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        members = [m for m in tar.getmembers() if m.isfile() and "/doc/src/sgml/" in m.name]
        for member in sorted((m for m in members if m.name.endswith(".sgml")), key=lambda m: m.name):
            file = tar.extractfile(member)
            assert file is not None
            text = file.read().decode("utf-8", "replace")
            text = re.sub(
                r"<!--.*?-->|<(programlisting|screen|synopsis|indexterm)\b.*?</\1>", " ", text, flags=re.S
            )
            text = re.sub(r"</?quote>", '"', text)
            for body in re.findall(r"<para>(.*?)</para>", text, flags=re.S):
                plain = " ".join(html.unescape(re.sub(r"<[^>]*>", "", body)).split())
                if len(plain.split()) >= 4:
                    paragraphs.append(plain)
    return paragraphs


def sample(folder: Path, rows: int, seed: int) -> None:
    """Writes `rows` made-up paragraphs of 20 to 80 words to sample.txt; same seed, same bytes."""
    random = np.random.default_rng(seed)
    words = _vocabulary(random, 1600)
    common = words[:COMMON]
    chapters = max(3, rows // 60)
    lines = []
    for row in range(max(rows, MIN_PARAGRAPHS * 2)):
        if row % max(1, rows // chapters) == 0:
            # A chapter has its own words, ranked by Zipf's law; some of them return in later chapters.
            topic = random.choice(words[COMMON:], 160, replace=False)
        lines.append(_paragraph(random, common, topic.tolist()))
    (folder / "sample.txt").write_text("\n\n".join(lines) + "\n", encoding="utf-8")


def _vocabulary(random: np.random.Generator, size: int) -> list[str]:
    starts, middles, ends = (
        ["b", "c", "d", "f", "g", "l", "m", "n", "p", "r", "s", "t", "v", "st", "tr", "pl"],
        ["a", "e", "i", "o", "u", "ea", "ou"],
        ["n", "r", "s", "t", "l", "x", "nd"],
    )
    words: dict[str, None] = {}
    while len(words) < size:
        syllables = [random.choice(starts) + random.choice(middles) for _ in range(random.integers(1, 4))]
        words["".join(syllables) + random.choice(ends)] = None
    return list(words)


def _zipf(random: np.random.Generator, words: Sequence[str]) -> str:
    weights = 1.0 / np.arange(5, len(words) + 5)
    return str(random.choice(words, p=weights / weights.sum()))


def _paragraph(random: np.random.Generator, common: Sequence[str], topic: Sequence[str]) -> str:
    subject = _zipf(random, topic)
    sentences = []
    for _ in range(random.integers(2, 6)):
        other, value = _zipf(random, topic), _zipf(random, topic)
        verb, adverb = _zipf(random, common[: COMMON // 2]), _zipf(random, common[COMMON // 2 :])
        form = random.choice(len(FORMS), p=FORM_WEIGHTS)
        sentence = FORMS[form].format(s=subject, o=other, v=value, d=verb, a=adverb)
        sentences.append(sentence[0].upper() + sentence[1:])
    return " ".join(sentences)


# {s} the paragraph's subject, {o} and {v} other words of the chapter, {d} and {a} common words.
FORMS = (
    "the {s} {d} the {o} of each {v}.",
    "if the {o} is not {d}, the {s} will {a} {d} the {o} again.",
    "note that the {s} (see also the {o}) cannot {d} a {v} {a}.",
    "by default, the {s} is {v}, which means that the {o} is {d} {a} for every {s}.",
    "the {o}, the {v}, and the {s} are {d} {a}; the {s} is {d} first.",
    "to {d} a {o} for the {s}, use “{v} {s}” instead of “{v} {o}”.",
    "is the {s} {d}? it is, as long as no {o} {a} has a {v}: the {s} {d} it.",
    "when a {v} is {d} by the {s}, all of its {o} values are {a} {d} before the {s} returns.",
    "{o} {v} {d} {a}, and so does any {s} [{v}] that was {d} with it.",
    "one could {d} every {v} -- or {a} the {o} -- but a {s} without {v} is {d} {a} anyway.",
    "this is {a} true of {o} and {v}, whose {s} must {d} {a} at least once.",
    "see {o} for how {v} can be {d}; most {s} users {a} {d} {o} only.",
)
FORM_WEIGHTS = tuple(w / 100 for w in (16, 10, 8, 10, 8, 6, 4, 10, 8, 6, 7, 7))
