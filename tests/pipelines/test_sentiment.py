"""sentiment: words are split alike in the graph and in JavaScript, rows say what they are, the sample is like real."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipelines.base.paths import CHECKOUT
from pipelines.base.project import ProjectError
from pipelines.sentiment import data, features, rows
from tests.conftest import missing

WEB = CHECKOUT / "pipelines" / "sentiment" / "web"
AWKWARD = [
    "",
    " \t\n",
    "I LOVED it!!! It's SO good…",
    "don’t ‘quote’ me",
    "naïve café İstanbul ΣΑΣ ß ﬁne",
    "\ufeffbyte order mark\u00a0no-break\u2028line\u3000wide",
    "zero\u200bwidth\u0000nul",
    "日本語のレビュー、良い。",
    "\U0001f600 emoji\U0001f600glued \U0010fffd",
    "word " * 100,
    "'''",
    "e\u0301 combining",
    "½ price µ ª º",
]


def random_strings(count: int, seed: int = 6) -> list[str]:
    """Strings over all of Unicode (no lone surrogates), half of them mostly ASCII with strange company."""
    chance = random.Random(seed)

    def letter(ascii_share: float) -> str:
        if chance.random() < ascii_share:
            return chr(chance.randrange(128))
        code = chance.choice([chance.randrange(0x80, 0x3100), chance.randrange(0x80, 0x110000)])
        return " " if 0xD800 <= code < 0xE000 else chr(code)

    return ["".join(letter(0.8 if i % 2 else 0.1) for _ in range(chance.randrange(80))) for i in range(count)]


def words_in_graph(texts: list[str]) -> list[list[str]]:
    import tensorflow as tf

    return [[w.decode() for w in row] for row in features.split_words(tf.constant(texts)).to_list()]


def tokens_in_javascript(texts: list[str], vocabulary: list[str]) -> dict[str, list[list[object]]]:
    """Words and numbers from web/tokens.js, run by Node.js."""
    if shutil.which("node") is None:
        missing("node")
    program = """
        const Tokens = require(process.argv[1]);
        const { settings, texts } = JSON.parse(require("fs").readFileSync(0, "utf8"));
        const rules = Tokens.compile(settings);
        const words = texts.map((text) => Tokens.split(text, rules));
        const numbers = words.map((list) => Tokens.number(list, rules));
        console.log(JSON.stringify({ words, numbers }));
    """
    settings = {**features.page_settings(), "words": vocabulary}
    done = subprocess.run(
        ["node", "-e", program, str(WEB / "tokens.js")],
        input=json.dumps({"settings": settings, "texts": texts}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_words_are_split_by_fixed_rules() -> None:
    assert words_in_graph(["It's SO good… isn’t it?", "  ", "Ärger, ÄRGER E-mail 2"]) == [
        ["it's", "so", "good", "isn't", "it"],
        [],
        # Only A to Z are lowered, so that no table of Unicode's is needed on either side.
        ["Ärger", "Ärger", "e", "mail", "2"],
    ]


def test_bytes_that_are_no_text_do_not_stop_the_graph() -> None:
    import tensorflow as tf

    assert features.split_words(tf.constant([b"good \xff\xfe film"])).to_list()[0][0] == b"good"


def test_the_last_words_count_and_zeros_stand_in_front() -> None:
    import tensorflow as tf

    padded = features.pad(tf.ragged.constant([[5, 6], list(range(2, 60)), []], dtype=tf.int64)).numpy()
    assert padded.shape == (3, features.LENGTH)
    assert padded[0, -2:].tolist() == [5, 6] and not padded[0, :-2].any()
    assert padded[1].tolist() == list(range(20, 60))
    assert not padded[2].any()


def _equal_in_both(texts: list[str]) -> None:
    import tensorflow as tf

    expected = words_in_graph(texts)
    counts = Counter(word for words in expected for word in words)
    vocabulary = [word for word, count in counts.most_common() if count > 1]
    found = tokens_in_javascript(texts, vocabulary)
    assert found["words"] == expected
    place = {word: i + features.FIRST_WORD for i, word in enumerate(vocabulary)}
    numbers = [[place.get(word, features.UNKNOWN) for word in words] for words in expected]
    padded = features.pad(tf.ragged.constant(numbers, dtype=tf.int64, ragged_rank=1))
    assert found["numbers"] == padded.numpy().tolist()


def test_javascript_splits_a_thousand_random_unicode_strings_as_the_graph_does() -> None:
    _equal_in_both(AWKWARD + random_strings(1_000))


@pytest.mark.real_data
def test_javascript_splits_the_real_sentences_as_the_graph_does(real_data: Path) -> None:
    _equal_in_both([text for _, text in rows.read_lines(real_data / "sentiment" / "sentiment.txt")])


def test_rows_say_whether_their_sentence_is_in_the_training_split(tmp_path: Path) -> None:
    file = tmp_path / "some.txt"
    file.write_text("".join(f"{i % 2}\tsentence number {i // 4}!\n" for i in range(2_000)), encoding="utf-8")
    found = list(rows.read_rows([file], {}))
    counts = Counter(split for split, _ in found)
    assert counts["train"] == pytest.approx(2_000 * rows.TRAIN_SHARE, rel=0.1) and set(counts) == set(
        rows.SPLITS
    )
    trained = {row["text"].lower() for split, row in found if split == "train"}
    for _, row in found:
        assert (row["sentence"] == "repeated") == (row["text"].lower() in trained)
    assert {row["sentence"] for split, row in found if split == "eval"} == {"new", "repeated"}


def test_a_line_without_label_or_tab_is_refused_with_its_number(tmp_path: Path) -> None:
    file = tmp_path / "wrong.txt"
    file.write_text("1\tgood\n\n2\tbad\n", encoding="utf-8")
    with pytest.raises(ProjectError, match=r"line 3 is '2\\tbad'"):
        rows.read_lines(file)


def test_the_sample_has_the_lengths_labels_and_repetitions_of_real_sentences(tmp_path: Path) -> None:
    data.sample(tmp_path, 4_000, seed=9)
    lines = rows.read_lines(tmp_path / data.FILE)
    lengths = [len(text.split()) for _, text in lines]
    assert len(lines) == 4_000
    assert 6 <= np.median(lengths) <= 10 and 16 <= np.quantile(lengths, 0.9) <= 26
    assert np.mean([label for label, _ in lines]) == pytest.approx(data.POSITIVE_RATE, abs=0.08)
    repeated = Counter(text for _, text in lines)
    assert 0.1 < len(repeated) / len(lines) < 0.3 and max(repeated.values()) > 20


def test_a_source_that_cannot_be_reached_is_named_with_the_other_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network here")

    monkeypatch.setattr(data.urllib.request, "urlopen", refuse)
    with pytest.raises(ProjectError, match=r"no network here.*--data PATH"):
        data.fetch(tmp_path)
