"""sentiment: words are split alike in graph and JavaScript, texts stay in one split, weights and correction add up."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipelines.base.errors import ProjectError
from pipelines.base.paths import CHECKOUT
from pipelines.sentiment import data, evaluate, features, linear, model, report, rows
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


def test_lines_that_differ_in_case_and_punctuation_alone_are_in_one_split(tmp_path: Path) -> None:
    file = tmp_path / "some.txt"
    forms = (
        "Sentence number {0}!",
        "sentence NUMBER {0}",
        "  sentence, number {0} ...",
        "sentence number {0}",
    )
    lines = [f"{i % 2}\t{form.format(i)}\n" for i in range(600) for form in forms]
    file.write_text("".join(lines), encoding="utf-8")
    found = list(rows.read_rows([file], {}))
    split_of: dict[str, set[str]] = {}
    for split, row in found:
        split_of.setdefault(rows.plain(row["text"]), set()).add(split)
        assert row["copies"] == len(forms)
    assert len(split_of) == 600 and all(len(splits) == 1 for splits in split_of.values())
    counts = Counter(split for split, _ in found)
    shares = [counts[split] / len(found) for split in rows.SPLITS]
    assert shares == pytest.approx([0.7, 0.1, 0.2], abs=0.05)


@pytest.mark.real_data
def test_no_real_text_is_in_two_splits(real_data: Path) -> None:
    found = list(rows.read_rows([real_data / "sentiment" / "sentiment.txt"], {}))
    texts = {split: {rows.plain(row["text"]) for s, row in found if s == split} for split in rows.SPLITS}
    assert not texts["eval"] & (texts["train"] | texts["tune"]) and not texts["train"] & texts["tune"]
    assert len(texts["eval"]) > 150


def sentences(seed: int, count: int = 300) -> linear.Rows:
    """Word 2 is praise, 3 is blame, 4 to 11 say nothing; the unknown word and fill are there too."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    tokens = random.integers(4, 12, (count, features.LENGTH))
    tokens[:, :30] = features.FILL
    tokens[:, 31] = np.where(labels == 1, 2, 3)
    tokens[:, 32] = features.UNKNOWN
    return linear.Rows(tokens, labels, np.ones(count))


def test_words_weigh_what_they_say_and_the_unknown_one_nothing() -> None:
    fitted, losses = linear.choose(sentences(1), sentences(2), words=10)
    assert fitted.weights[2] > 1 and fitted.weights[3] < -1
    assert np.abs(fitted.weights[4:]).max() < fitted.weights[2] / 3
    assert fitted.weights[features.FILL] == fitted.weights[features.UNKNOWN] == 0.0
    assert losses[f"{fitted.penalty:g}"] == min(losses.values()) and len(losses) == len(linear.PENALTIES)


def test_a_regression_of_one_class_is_refused_in_words() -> None:
    given = sentences(1)
    with pytest.raises(ProjectError, match="labelled 1; expected 0 and 1"):
        linear.fit(given.where(given.labels == 1), 10, 1.0)


def test_equal_rows_become_one_with_the_sum_of_their_weights() -> None:
    tokens = np.array([[1, 2], [1, 2], [3, 4], [1, 2]])
    found = linear.distinct(tokens, np.array([1, 1, 0, 0]), np.array([0.25, 0.25, 1.0, 0.5]))
    together = {
        (*t, label): w for t, label, w in zip(found.tokens.tolist(), found.labels, found.weights, strict=True)
    }
    assert together == {(1, 2, 1): 0.5, (3, 4, 0): 1.0, (1, 2, 0): 0.5}


def test_cross_fitted_logits_are_less_sure_than_those_of_the_rows_own_regression() -> None:
    random = np.random.default_rng(4)
    noise = sentences(3, 80)
    noise.labels[:] = random.integers(0, 2, 80)
    own = linear.fit(noise, 10, 30.0).logits(noise.tokens)
    assert linear.loss(linear.cross_fitted(noise, 10, 30.0), noise) > linear.loss(own, noise)


def test_the_joined_network_scores_as_the_regression_with_its_correction() -> None:
    given = sentences(5, 20)
    regression = linear.fit(given, 10, 3.0)
    alone = model.join(regression, None)(given.tokens).numpy()[:, 0]
    np.testing.assert_allclose(alone, 1 / (1 + np.exp(-regression.logits(given.tokens))), atol=1e-5)
    correction = model.build_correction("gru", 10)
    assert not correction(given.tokens).numpy().any(), "a correction begins with nothing"
    correction.get_layer("correction").set_weights([np.ones((4, 1), np.float32), np.ones(1, np.float32)])
    added = correction(given.tokens).numpy()[:, 0]
    both = model.join(regression, correction)(given.tokens).numpy()[:, 0]
    np.testing.assert_allclose(both, 1 / (1 + np.exp(-regression.logits(given.tokens) - added)), atol=1e-5)


def test_a_correction_that_does_harm_counts_for_nothing() -> None:
    tune = sentences(6, 60)
    regression = linear.fit(sentences(7), 10, 3.0)
    correction = model.build_correction("gru", 10)
    correction.get_layer("correction").set_weights([np.zeros((4, 1)), np.full(1, 9.0)])
    found = model.choose_scale(correction, regression, tune)
    assert found["scale"] == 0.0 and not found["shown"]
    assert not correction(tune.tokens).numpy().any()


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order() -> None:
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(8)
    scores, labels = random.integers(0, 9, 70) / 9, random.integers(0, 2, 70)
    often = random.integers(0, 4, 70)
    expected = roc_auc_score(labels, scores, sample_weight=often)
    assert evaluate.auc(scores, labels, often) == pytest.approx(expected)
    assert np.isnan(evaluate.auc(scores[labels == 1], labels[labels == 1], often[labels == 1]))


def test_the_gain_on_a_rival_is_paired_and_its_upper_end_is_above_it() -> None:
    labels, ones = np.array([1, 0] * 50), np.ones(100, int)
    right, wrong = labels.astype(float), 1.0 - labels
    half = np.where(np.arange(100) < 50, right, wrong)
    scores = {"": half, "words": np.where(np.arange(100) < 40, right, wrong), "pairs": half}
    found = evaluate._metrics(scores, labels, ones)
    assert found["accuracy"] == 0.5 and found["accuracy_gain_on_words"] == pytest.approx(0.1)
    assert found["accuracy_gain_on_best_upper"] == 0.0, "equal text by text: no doubt about the gain"
    shown = evaluate._metrics({**scores, "pairs": right}, labels, ones)
    assert shown["accuracy_gain_on_best_upper"] < -0.35


def test_sentences_are_cut_between_words() -> None:
    text = "a sentence with several words"
    assert report.shortened(text, 40) == text
    assert report.shortened(text, 20) == "a sentence with …"
    assert len(report.shortened("x" * 50, 20)) == 20


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
    distinct = {text: label for label, text in lines}
    assert np.mean(list(distinct.values())) == pytest.approx(data.POSITIVE_RATE, abs=0.06)
    repeated = Counter(text for _, text in lines)
    assert 0.1 < len(repeated) / len(lines) < 0.3 and max(repeated.values()) > 20
    assert {rows.split_of(rows.plain(text)) for text in repeated} == set(rows.SPLITS)


def test_a_source_that_cannot_be_reached_is_named_with_the_other_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network here")

    monkeypatch.setattr(data.urllib.request, "urlopen", refuse)
    with pytest.raises(ProjectError, match=r"no network here.*--data PATH"):
        data.fetch(tmp_path)
