"""book_scripts: tokens and back, n-grams and cache, reader and writer alike, resumed training, the server."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.base.errors import ProjectError
from pipelines.base.paths import CHECKOUT

WORDS = ["||return||", "||period||", "the", "table", "row", "is", "a", "||comma||"]


@pytest.fixture(scope="module")
def writer() -> Any:
    """A writer of random weights over WORDS."""
    from pipelines.book_scripts.writing import Writer

    random = np.random.default_rng(3)

    def array(*shape: int) -> np.ndarray:
        return random.normal(0, 0.6, shape).astype(np.float32)

    cells = [[array(6, 24), array(6, 24), array(24)] for _ in range(2)]
    return Writer({"embedding": array(9, 6), "bias": array(9), "cells": cells}, WORDS)


def write(
    writer: Any, prefix: list[str], length: list[int], temperature: list[float], seed: list[int]
) -> list[str]:
    import tensorflow as tf

    from pipelines.book_scripts.writing import signatures

    answer = signatures(writer)["serving_default"](
        prefix=tf.constant(prefix),
        length=tf.constant(length, tf.int64),
        temperature=tf.constant(temperature, tf.float32),
        seed=tf.constant(seed, tf.int64),
    )
    return [text.decode("utf-8") for text in answer["text"].numpy()]


def test_punctuation_becomes_tokens_and_words_lower_case() -> None:
    import tensorflow as tf

    from pipelines.book_scripts.features import tokens

    found = tokens(tf.constant(["Say “Ä b”, (x) -- no!\n", '"Q?"'])).to_list()
    assert " ".join(w.decode() for w in found[0]) == (
        "say ||quote_open|| ä b ||quote_close|| ||comma|| ||bracket_open|| x ||bracket_close|| ||dash|| no "
        "||exclamation|| ||return||"
    )
    assert [w.decode() for w in found[1]] == ["||quote||", "q", "||question||", "||quote||"]


def test_text_written_from_tokens_reads_like_the_text_they_came_from() -> None:
    import tensorflow as tf

    from pipelines.book_scripts.features import to_text, tokens

    texts = [
        "the row (see also the table) is a row, or “a table”; is it? no.\nthe next: one [two] -- three!",
        "a; b: c. d",
    ]
    joined = tf.strings.reduce_join(tokens(tf.constant(texts)), axis=1, separator=" ")
    assert [t.decode() for t in to_text(joined).numpy()] == texts


@pytest.mark.parametrize("words", [5, 30, 400])
def test_the_chances_of_the_5_gram_sum_to_one(words: int) -> None:
    from pipelines.book_scripts.kneser_ney import KneserNey

    train = np.random.default_rng(words).integers(0, 7, words)
    model = KneserNey(train, 9)
    for before in ([1], [7, 1], [1, 2, 3], list(train[:4]), list(train[-6:]), [8, 8, 8, 8]):
        chances = [model.chances(np.array([*before, word]))[0][-1] for word in range(9)]
        assert sum(chances) == pytest.approx(1.0, abs=1e-9) and min(chances) > 0, before


def test_the_5_gram_learns_a_text_that_two_words_determine_and_says_how_much_it_knew() -> None:
    from pipelines.book_scripts.kneser_ney import KneserNey

    # After (0, 1) comes 2, after (3, 1) comes 4: one word before would not do.
    text = np.tile([0, 1, 2, 3, 1, 4], 200)
    chances, depth = KneserNey(text[:900], 7).chances(np.append([6], text[900:1050]))
    assert np.exp(-np.log(chances[6:]).mean()) < 1.1
    assert depth[:6].tolist() == [0, 1, 2, 3, 4, 4], "the word 6 was never read"


def test_a_word_that_follows_many_is_likelier_after_a_new_one_than_one_that_follows_one_often() -> None:
    from pipelines.book_scripts.kneser_ney import KneserNey

    # "francisco" (1) stands often, but only after "san" (0); "glass" (2) less often, after 3 to 8.
    text = np.array([0, 1] * 30 + [word for i in range(3, 9) for word in (i, 2)])
    model = KneserNey(text, 10)
    assert model.first[2] > model.first[1]
    assert model.chances(np.array([0, 1, 0, 1, 0, 1]))[0][-1] > 0.9


def test_the_caches_share_is_that_of_words_said_lately() -> None:
    from pipelines.book_scripts.mixing import cache_chances

    found = cache_chances(np.array([3, 3, 4, 3]), 1.0)
    np.testing.assert_allclose(found, [1.0, 0.0, (0.5 + 0.25) / 1.75])
    slow = cache_chances(np.array([3, 3, 4, 3]), 1e9)
    np.testing.assert_allclose(slow, [1.0, 0.0, 2 / 3], rtol=1e-6)


def test_weights_go_to_the_part_that_is_right_in_each_kind_of_context() -> None:
    from pipelines.book_scripts import mixing

    random = np.random.default_rng(2)
    kinds = random.integers(0, 2, 4_000)
    good, bad = random.uniform(0.4, 0.6, 4_000), random.uniform(0.0, 0.2, 4_000)
    parts = np.stack([np.where(kinds == 0, good, bad), np.where(kinds == 0, bad, good)], axis=1)
    weights = mixing.fit(parts, kinds, 3)
    assert weights[0, 0] > 0.9 and weights[1, 1] > 0.9
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    together = mixing.fit(parts, np.zeros_like(kinds), 1)
    np.testing.assert_allclose(
        weights[2], together[0], err_msg="a kind that never came has the weights of all"
    )
    assert (
        mixing.log_chances(parts, kinds, weights).mean()
        > mixing.log_chances(parts, kinds * 0, together).mean() + 0.1
    )


def texts_of(kind: str, seed: int) -> np.ndarray:
    """A made-up text of 3,000 words below 40: `topics` keeps to few words at a time, `phrases` repeats fixed ones."""
    random = np.random.default_rng(seed)
    if kind == "topics":
        return np.concatenate([random.choice(random.integers(0, 40, 4), 60) for _ in range(50)])
    phrases = np.random.default_rng(0).integers(0, 40, (12, 8))
    return np.concatenate([phrases[random.integers(12)] for _ in range(375)])


@pytest.mark.parametrize("kind", ["topics", "phrases"])
def test_what_is_chosen_suits_the_text_and_beats_each_part_alone_on_later_words(kind: str) -> None:
    from pipelines.book_scripts import mixing
    from pipelines.book_scripts.kneser_ney import KneserNey

    counted = KneserNey(texts_of(kind, 1), 41)
    tune, later = (mixing.blocks(texts_of(kind, seed), 40) for seed in (2, 3))
    uniform = np.full((3_000, 1), 1 / 41)
    weights, half_life = mixing.choose(tune, uniform, counted)
    chance, depth = mixing.counted_parts(later, counted)
    cached = mixing.cached_part(later, half_life)
    mixed = mixing.log_chances(np.column_stack([uniform, chance, cached]), depth, weights).mean()
    assert mixed > np.log(chance).mean() - 0.002
    # A cache alone gives new words no chance at all.
    if kind == "topics":
        assert mixed > np.log(chance).mean() + 0.5 and half_life == min(mixing.HALF_LIVES)
        assert weights[:, 2].max() > 0.5
    else:
        assert weights[4, 1] > 0.9


def test_the_graphs_mixture_is_numpys(writer: Any) -> None:
    import tensorflow as tf

    from pipelines.book_scripts import mixing
    from pipelines.book_scripts.kneser_ney import ORDER, KneserNey
    from pipelines.book_scripts.writing import Mixture, Writer

    random = np.random.default_rng(4)
    counted = KneserNey(random.integers(0, 8, 300), 9)
    weights = random.dirichlet([1.0, 1.0, 1.0], ORDER)
    network = {
        "embedding": writer.embedding.numpy(),
        "bias": writer.bias.numpy(),
        "cells": [[part.numpy() for part in cell] for cell in writer.cells],
    }
    mixed = Writer(network, WORDS, Mixture(counted, 20.0, weights))
    texts = [np.append(0, random.integers(0, 9, 80)) for _ in range(2)]
    numbers = tf.constant(np.stack(texts))
    alone = np.exp(writer.follow(numbers).numpy()).ravel()
    chance, depth = mixing.counted_parts(texts, counted)
    assert set(depth) == {0, 1, 2, 3, 4}, "contexts of all lengths are met"
    parts = np.column_stack([alone, chance, mixing.cached_part(texts, 20.0)])
    expected = mixing.log_chances(parts, depth, weights)
    np.testing.assert_allclose(mixed.follow(numbers).numpy().ravel(), expected, rtol=1e-4, atol=1e-5)
    said, _ = mixed.chances(tf.constant([2, 3], tf.int64), mixed.start(tf.constant(2)))
    np.testing.assert_allclose(np.exp(said).sum(axis=1), 1.0, rtol=1e-5)


def test_a_mixed_writer_writes_alike_in_any_company_and_never_feeds_on_its_own_cache(writer: Any) -> None:
    from pipelines.book_scripts.kneser_ney import ORDER, KneserNey
    from pipelines.book_scripts.writing import Mixture, Writer

    network = {
        "embedding": writer.embedding.numpy(),
        "bias": writer.bias.numpy(),
        "cells": [[part.numpy() for part in cell] for cell in writer.cells],
    }
    counted = KneserNey(np.random.default_rng(4).integers(0, 8, 300), 9)

    def mixed(*weights: float) -> Any:
        return Writer(network, WORDS, Mixture(counted, 20.0, np.tile(weights, (ORDER, 1))))

    (alone,) = write(mixed(0.1, 0.3, 0.6), ["the table"], [25], [0.9], [5])
    together = write(mixed(0.1, 0.3, 0.6), ["a", "the table"], [40, 25], [0.5, 0.9], [1, 5])
    assert together[1] == alone
    assert write(mixed(0.25, 0.75, 0.0), ["the table"], [25], [0.9], [5]) == [alone]


def test_a_short_book_is_read_in_smaller_windows() -> None:
    from pipelines.book_scripts.model import fitting, windows

    parameters = {"batch_size": 16, "steps": 32}
    assert fitting(parameters, 140_000, 17_000) == {"batch_size": 16, "steps": 32}
    for read, held in ((200, 25), (3_000, 300), (20, 3)):
        found = fitting(parameters, read, held)
        assert windows(np.arange(held), found["batch_size"], found["steps"], shift=False)[1] >= 1
        assert windows(np.arange(read), found["batch_size"], found["steps"], shift=True)[1] >= 1


def test_the_writer_computes_what_the_keras_reader_computes() -> None:
    import tensorflow as tf

    from pipelines.book_scripts.model import build_model, weights
    from pipelines.book_scripts.writing import Writer

    parameters = {"units": 6, "vocabulary": 9, "batch_size": 2, "steps": 5, "dropout": 0.4, "total_steps": 10}
    model = build_model({**parameters, "learning_rate": 1e-3, "weight_decay": 0.0, "clip_norm": 1.0})
    words = np.random.default_rng(1).integers(0, 9, (2, 10))
    theirs = np.concatenate(
        [model(words[:, :5], training=False), model(words[:, 5:], training=False)], axis=1
    )
    writer = Writer(weights(model), WORDS)
    state = writer.start(2)
    for t in range(10):
        logits, state = writer.step(tf.constant(words[:, t]), state)
        np.testing.assert_allclose(logits, theirs[:, t], rtol=1e-4, atol=1e-5)


def test_the_same_seed_writes_the_same_text_and_another_another(writer: Any) -> None:
    texts = write(writer, ["the table"] * 3, [40] * 3, [1.0] * 3, [5, 5, 6])
    assert texts[0] == texts[1] != texts[2]


def test_a_text_does_not_depend_on_what_else_is_in_the_request(writer: Any) -> None:
    (alone,) = write(writer, ["the table"], [25], [0.9], [5])
    together = write(
        writer, ["a", "the table", "the row is a table, the row"], [60, 25, 3], [0.5, 0.9, 1.0], [1, 5, 2]
    )
    assert together[1] == alone


def test_as_many_words_are_written_as_were_asked_for_and_the_prefix_is_kept(writer: Any) -> None:
    import tensorflow as tf

    from pipelines.book_scripts.features import tokens

    prefixes, lengths = ["the zebra is", "", "row"], [7, 12, 0]
    texts = write(writer, prefixes, lengths, [1.0] * 3, [1, 2, 3])
    assert texts[0].startswith("the zebra is") and texts[2] == "row"
    # Paragraph ends at the border of a text are stripped, and neighbours merge: count what must be there.
    counts = [len(words) for words in tokens(tf.constant(texts)).to_list()]
    assert counts[0] <= 3 + 7 and counts[1] <= 12 and counts[0] > 3


def test_no_temperature_means_the_likeliest_word(writer: Any) -> None:
    cold = write(writer, ["the"] * 2, [20] * 2, [0.0, 0.0], [1, 2])
    assert cold[0] == cold[1]


def test_a_length_beyond_the_limit_is_refused(writer: Any) -> None:
    import tensorflow as tf

    with pytest.raises(tf.errors.InvalidArgumentError, match="Length must be 0 to 500 words"):
        write(writer, ["the"], [501], [1.0], [1])


def test_a_score_is_the_log_of_the_chance_of_each_word_in_turn(writer: Any) -> None:
    import tensorflow as tf

    from pipelines.book_scripts.writing import signatures

    answer = signatures(writer)["score"](text=tf.constant(["the zebra.\n", "a\n"]))
    scores, words = answer["log_probability"].numpy(), answer["word"].numpy()
    assert words.tolist() == [[2, 8, 1, 0], [6, 0, -1, -1]]
    state, last = writer.start(1), 0
    for t, word in enumerate(words[0]):
        logits, state = writer.step(tf.constant([last], tf.int64), state)
        assert scores[0, t] == pytest.approx(float(tf.nn.log_softmax(logits)[0, word]), abs=1e-5)
        last = int(word)
    assert scores[1, 2:].tolist() == [0.0, 0.0]


def test_windows_follow_each_other_and_every_next_word_is_the_one_to_predict() -> None:
    import tensorflow as tf

    from pipelines.book_scripts.model import windows

    # A seed, as run_fn sets one: epochs must begin at different places all the same.
    tf.random.set_seed(1)
    text = np.arange(1000)
    dataset, count = windows(text, 3, 7, shift=True)
    starts = set()
    for _ in range(4):
        pairs = [(x.numpy(), y.numpy()) for x, y in dataset]
        assert len(pairs) == count
        for given, wanted in pairs:
            np.testing.assert_array_equal(wanted, given + 1)
        for before, after in itertools.pairwise(pairs):
            np.testing.assert_array_equal(after[0][:, 0], before[0][:, -1] + 1)
        starts.add(int(pairs[0][0][0, 0]))
    assert len(starts) > 1
    with pytest.raises(ValueError, match="Lower batch_size"):
        windows(np.arange(20), 3, 7, shift=True)


def test_a_book_is_split_in_its_order_and_files_that_are_no_books_are_refused(tmp_path: Path) -> None:
    from pipelines.book_scripts.rows import read_rows

    book = tmp_path / "a.txt"
    book.write_text("\n\n".join(f"paragraph {i} has six words." for i in range(50)), encoding="utf-8")
    rows = list(read_rows([book], {}))
    assert [row["position"] for _, row in rows] == list(range(50))
    assert [split for split, _ in rows] == ["train"] * 40 + ["tune"] * 5 + ["eval"] * 5
    book.write_text("short\n", encoding="utf-8")
    with pytest.raises(ProjectError, match="hold 1 paragraphs"):
        list(read_rows([book], {}))
    book.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ProjectError, match="no UTF-8 text"):
        list(read_rows([book], {}))


def test_the_manuals_source_becomes_prose_without_markup_and_listings() -> None:
    import io
    import tarfile

    from pipelines.book_scripts.data import prose_of

    page = b"<para>A <quote>row</quote> is &lt; a\n table.<screen>SELECT 1;</screen> It stays so.</para>"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in (("pg/doc/src/sgml/b.sgml", page), ("pg/src/c.sgml", page)):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    assert prose_of(buffer.getvalue()) == ['A "row" is < a table. It stays so.']


def test_kinds_and_places_of_words() -> None:
    from pipelines.book_scripts.evaluate import blocks, places, word_kinds

    vocabulary, counts = ["||return||", "the", "table", "x"], np.array([50, 900, 30, 3, 0])
    kinds = word_kinds(np.array([0, 1, 2, 3, 4]), vocabulary, counts)
    assert kinds.tolist() == ["punctuation", "frequent", "frequent", "frequent", "unknown"]
    where = places(np.array([1, 1, 0, *[1] * 11, 0]), 0).tolist()
    assert where[:13] == ["beginning"] * 13 and where[13:] == ["later", "later"]
    assert blocks(["a b", "c"]) == ["a b\nc\n"]


RESUMED = """
import os, sys, types
from pathlib import Path
import pipelines
import numpy as np
import tf_keras as keras
from pipelines.base import training
from pipelines.book_scripts.model import CurveFile, build_model, forget, windows

folder, kill_after = Path(sys.argv[1]), int(sys.argv[2])
args = types.SimpleNamespace(
    custom_config={}, train_files=["x"], transform_output="t", model_run_dir=str(folder / "run"),
    serving_model_dir=str(folder / "Trainer" / "model" / "1" / "Format-Serving"),
)
keras.utils.set_random_seed(1)
text = np.tile(np.arange(8), 200)
train, count = windows(text, 4, 10, shift=True)
model = build_model({"units": 8, "vocabulary": 9, "batch_size": 4, "steps": 10, "dropout": 0.0, "clip_norm": 1.0,
                     "learning_rate": 0.02, "weight_decay": 0.0, "total_steps": count * 5})

class Kill(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if self.params.get("epochs") and self.epoch == kill_after and batch == 3:
            os.kill(os.getpid(), 9)
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

training.fit(model, args, train, windows(text, 4, 10, shift=False)[0], 5,
             callbacks=[forget(), CurveFile(folder / "run" / "curves.json").callback(), Kill()])
print("steps", int(model.optimizer.iterations), "of", 5 * count)
"""


@pytest.mark.slow
def test_a_killed_training_continues_after_its_last_whole_epoch(tmp_path: Path) -> None:
    def run(kill_after: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", RESUMED, str(tmp_path), str(kill_after)],
            capture_output=True,
            text=True,
            cwd=CHECKOUT,
            check=False,
        )

    killed = run(3)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    curves = tmp_path / "run" / "curves.json"
    before = json.loads(curves.read_text(encoding="utf-8"))
    assert [row["epoch"] for row in before] == [1, 2, 3]
    done = run(-1)
    assert done.returncode == 0, done.stderr
    after = json.loads(curves.read_text(encoding="utf-8"))
    assert [row["epoch"] for row in after] == [1, 2, 3, 4, 5]
    assert after[:3] == before, "epochs that were done were done again"
    assert after[3]["loss"] < before[0]["loss"]
    _, steps, _, total = done.stdout.splitlines()[-1].split()
    assert steps == total
    assert not any((tmp_path / "Trainer").rglob("checkpoint")), "checkpoints of a finished training stayed"


@pytest.mark.slow
@pytest.mark.xdist_group("run-book_scripts")
def test_a_served_model_goes_on_writing_over_grpc(finished_run: Callable[[str], Any], tmp_path: Path) -> None:
    from pipelines.base import answer
    from serving.client import Client

    run = finished_run("book_scripts")
    assert run.code == 0 and run.record.blessed, run.output
    process, addresses = answer.start_server(
        "book_scripts", Path(run.record.pushed).parent, tmp_path / "serving.log"
    )
    try:
        with Client(addresses["grpc"]) as client:

            def ask(seed: int) -> str:
                inputs = {
                    "prefix": np.array(["By default, the"], object),
                    "length": np.array([40], np.int64),
                    "temperature": np.array([0.8], np.float32),
                    "seed": np.array([seed], np.int64),
                }
                return client.predict("book_scripts", inputs)["text"][0].decode("utf-8")

            first, again, other = ask(1), ask(1), ask(2)
    finally:
        process.terminate()
        process.wait(timeout=30)
    assert first == again != other
    assert first.startswith("by default, the ") and len(first.split()) > 25


@pytest.mark.real_data
def test_the_real_manual_is_read_whole_and_split_by_words(real_data: Path) -> None:
    from pipelines.book_scripts.rows import read_rows

    rows = list(read_rows(sorted((real_data / "book_scripts").glob("*.txt")), {}))
    words = {
        s: sum(len(row["text"].split()) for split, row in rows if split == s)
        for s in ("train", "tune", "eval")
    }
    total = sum(words.values())
    assert total > 150_000
    assert words["train"] / total == pytest.approx(0.8, abs=0.01)
    assert words["eval"] / total == pytest.approx(0.1, abs=0.01)
