"""speech_commands: any WAV becomes the same sound, a stream tells what a recording tells, rows fall as they should."""

from __future__ import annotations

import io
import struct
import urllib.request
import wave
import zipfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.base.errors import ProjectError
from pipelines.speech_commands import data, making, rows, stitching, streaming, wav
from pipelines.speech_commands.streaming import Event, Stream
from pipelines.speech_commands.words import LABELS, SILENCE, UNKNOWN, WORDS

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE


def tone(rate: int, seconds: float = 0.5, hertz: Sequence[float] = (440.0, 1_330.0)) -> np.ndarray:
    times = np.arange(round(rate * seconds)) / rate
    return sum(0.3 * np.sin(2 * np.pi * one * times) for one in hertz)  # type: ignore[return-value]


def packed(samples: np.ndarray, bits: int, code: int = PCM) -> bytes:
    """Samples [...] as a WAV file's data, low byte first."""
    if code == FLOAT:
        return samples.astype("<f4").tobytes()
    if bits == 8:
        return np.round(samples * 127 + 128).astype(np.uint8).tobytes()
    whole = np.round(samples * (2 ** (bits - 1) - 1)).astype("<i4")
    return whole.astype("<i4").reshape(-1, 1).view(np.uint8)[:, : bits // 8].tobytes()


def file(
    content: bytes,
    rate: int = 8_000,
    channels: int = 1,
    bits: int = 16,
    code: int = PCM,
    extensible: bool = False,
    before: bytes = b"",
    announced: int | None = None,
) -> bytes:
    """A WAV file with `content` as its data and `before` as chunks in front of it."""
    width = bits // 8
    form = struct.pack("<HIIHH", channels, rate, rate * channels * width % 2**32, channels * width, bits)
    if extensible:
        form = struct.pack("<H", EXTENSIBLE) + form + struct.pack("<HHIH", 22, bits, 0, code) + bytes(14)
    else:
        form = struct.pack("<H", code) + form
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + before
    chunks += b"data" + struct.pack("<I", len(content) if announced is None else announced) + content
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


@pytest.fixture(scope="module")
def read() -> Callable[[bytes], np.ndarray]:
    import tensorflow as tf

    graph = tf.function(lambda audio: wav.read(audio, 10.0), input_signature=[tf.TensorSpec([], tf.string)])
    return lambda audio: graph(tf.constant(audio)).numpy()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("bits", "code", "step"),
    [(8, PCM, 0.01), (16, PCM, 4e-5), (24, PCM, 3e-7), (32, PCM, 1e-7), (32, FLOAT, 1e-7)],
)
@pytest.mark.parametrize("extensible", [False, True])
def test_every_width_and_one_or_two_channels_give_the_same_sound(
    read: Any, bits: int, code: int, step: float, channels: int, extensible: bool
) -> None:
    samples = tone(8_000)
    # The right channel is another sound, so that only their mean is what is wanted.
    both = samples[:, None] * np.array([[1.0], [1.2, 0.8]][channels - 1])
    given = file(packed(both, bits, code), channels=channels, bits=bits, code=code, extensible=extensible)
    np.testing.assert_allclose(read(given), samples, atol=step)


@pytest.mark.parametrize("rate", [4_000, 8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_every_rate_becomes_8_khz_and_what_is_above_4_khz_is_gone(read: Any, rate: int) -> None:
    samples = tone(rate) + (tone(rate, hertz=[6_000.0]) if rate >= 16_000 else 0)
    got = read(file(packed(samples, 32, FLOAT), rate, bits=32, code=FLOAT))
    assert len(got) == samples.size * 8_000 // rate
    # At the ends a tone begins from nothing, which is another sound.
    inner = slice(300, len(got) - 300)
    np.testing.assert_allclose(got[inner], tone(8_000)[inner], atol=2e-4)


def test_other_chunks_are_passed_over_and_a_recorder_may_not_know_its_length(read: Any) -> None:
    samples = tone(8_000, 0.1)
    odd = b"LIST" + struct.pack("<I", 5) + b"INFO!" + b"\0"
    for given in (
        file(packed(samples, 16), before=odd),
        file(packed(samples, 16), announced=0xFFFFFFFF),
        file(packed(samples, 16), announced=0),
        file(packed(samples, 16)) + odd,
    ):
        np.testing.assert_allclose(read(given), samples, atol=4e-5)


NAN = np.array([0.0, np.nan, 0.1])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (b"", "not a WAV file .*something else"),
        (b"RIFF", "not a WAV file"),
        (b"ID3\x03" + bytes(100), "not a WAV file .*an MP3 file"),
        (b"\xff\xfb\x90\x64" + bytes(100), "not a WAV file .*an MP3 file"),
        (b"OggS" + bytes(100), "not a WAV file .*an Ogg file"),
        (file(packed(tone(8_000), 16))[:40], "lacks its format or its data"),
        (file(packed(tone(8_000), 16))[:-10], "cut off"),
        (file(b""), "no samples"),
        (file(packed(NAN, 32, FLOAT), bits=32, code=FLOAT), "NaN or infinity"),
        (file(packed(NAN * np.inf, 32, FLOAT), bits=32, code=FLOAT), "NaN or infinity"),
        (file(bytes(80), bits=64, code=FLOAT), "expected PCM"),
        (file(bytes(80), code=0x55), "expected PCM"),
        (file(bytes(80), code=6, bits=8), "expected PCM"),
        (file(bytes(60), channels=6), "one or two channels"),
        (file(bytes(60), channels=0), "one or two channels"),
        (file(bytes(60), rate=0), "samples a second"),
        (file(bytes(60), rate=2**31 + 5), "samples a second"),
        (file(bytes(2 * 8_000 * 11)), "at most 10 seconds"),
        (b"RIFF\0\0\0\0WAVEdata" + struct.pack("<I", 4) + bytes(4), "lacks its format"),
        (
            b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<I", 4) + bytes(4) + b"data\4\0\0\0aaaa",
            "format is cut off|expected PCM",
        ),
    ],
)
def test_what_is_no_such_file_fails_with_an_invalid_argument(read: Any, given: bytes, told: str) -> None:
    import tensorflow as tf

    with pytest.raises(tf.errors.InvalidArgumentError, match=f"(?s){told}"):
        read(given)


def test_a_clip_is_cut_around_what_is_spoken_wherever_it_is() -> None:
    import tensorflow as tf

    from pipelines.speech_commands.features import WINDOW, centred

    word = tone(8_000, 0.3).astype(np.float32)
    alone = centred(tf.constant(word)).numpy()
    for before, behind in ((100, 9_000), (3_000, 20), (20_000, 8_000)):
        clip = np.pad(word, (before, behind))
        got = centred(tf.constant(clip)).numpy()
        shift = np.argmax(np.correlate(got, word, "valid")) - (WINDOW - len(word)) // 2
        # Frames are 20 ms.
        assert abs(int(shift)) <= 160, (before, behind)
    assert len(alone) == WINDOW and np.abs(alone[:2_000]).max() == 0
    long = np.concatenate([0.5 * tone(8_000, 1.0), tone(8_000, 1.0)]).astype(np.float32)
    np.testing.assert_allclose(centred(tf.constant(long)).numpy(), long[8_000:], atol=0.31)
    assert np.abs(centred(tf.zeros([500])).numpy()).max() == 0


def test_level_does_not_change_what_the_network_sees() -> None:
    import tensorflow as tf

    from pipelines.speech_commands.features import BANDS, FRAMES, log_mel

    noise = np.random.default_rng(1).normal(0, 0.1, (1, 8_000)).astype(np.float32)
    loud, quiet = log_mel(tf.constant(noise)).numpy(), log_mel(tf.constant(noise / 4)).numpy()
    assert loud.shape == (1, FRAMES, BANDS) and abs(loud.mean()) < 1e-5
    np.testing.assert_allclose(loud, quiet, atol=0.02)


def test_the_stream_and_the_graph_use_the_same_numbers() -> None:
    from pipelines.speech_commands import spotting

    assert (streaming.RATE, streaming.BLOCK, streaming.RATE_STEP) == (wav.RATE, wav.BLOCK, wav.RATE_STEP)
    for name in ("WINDOW", "HOP", "EDGE", "SMOOTH", "REFRACTORY", "THRESHOLD", "STEPS_OF_SCORE"):
        assert getattr(streaming, name) == getattr(spotting, name), name


@pytest.fixture(scope="module")
def heard() -> tuple[Any, Callable[[bytes], dict[str, np.ndarray]]]:
    """`events` and `posteriors` around a made-up network: which of ten bands is loudest in the middle of a window."""
    import tensorflow as tf

    from pipelines.speech_commands import spotting

    def classify(spectra: tf.Tensor) -> tf.Tensor:
        loud = tf.reduce_mean(tf.reshape(spectra[:, 18:30], [-1, 12, 10, 4]), axis=(1, 3))
        return tf.nn.softmax(3 * tf.concat([loud, tf.zeros([tf.shape(loud)[0], 2])], axis=1))

    one = [tf.TensorSpec([], tf.string)]
    whole = tf.function(
        lambda audio: spotting.events(spotting.posteriors(classify, spotting.whole(audio))),
        input_signature=one,
    )
    piece = tf.function(
        lambda audio: spotting.posteriors(classify, wav.read(audio, 600.0)), input_signature=one
    )

    def ask(audio: bytes) -> dict[str, np.ndarray]:
        return {key: value.numpy() for key, value in piece(tf.constant(audio)).items()}

    return whole, ask


def tones(rate: int, seed: int) -> np.ndarray:
    """Ten tones of 0.3 s in noise, half a second to a second apart."""
    random = np.random.default_rng(seed)
    parts = [np.zeros(int(rate * random.uniform(0.0, 0.3)))]
    for hertz in random.uniform(200, 3_000, 10):
        parts += [tone(rate, 0.3, [hertz]), np.zeros(int(rate * random.uniform(0.5, 1.0)))]
    samples = np.concatenate(parts)
    return (samples + random.normal(0, 0.003, len(samples))).astype(np.float32)


@pytest.mark.parametrize(("rate", "seed"), [(8_000, 1), (16_000, 2), (11_025, 3), (44_100, 4)])
def test_a_stream_gives_the_events_of_the_whole_recording_however_it_is_cut(
    heard: Any, rate: int, seed: int
) -> None:
    import tensorflow as tf

    whole, ask = heard
    samples = tones(rate, seed)
    told = {key: value.numpy() for key, value in whole(tf.constant(streaming.as_wav(samples, rate))).items()}
    assert len(told["word"]) >= 7, "the recording has events to compare"
    random = np.random.default_rng(seed)
    for longest in (0.5, 100.0):
        stream, found, place = Stream(ask, rate), [], 0
        while place < len(samples):
            size = max(1, int(random.uniform(0.2, 1) * longest * rate))
            found += stream.feed(samples[place : place + size])
            place += size
        early = len(found)
        found += stream.finish()
        assert early >= len(found) - 2, "events come while the recording runs"
        assert [one.word.encode() for one in found] == told["word"].tolist()
        for key in ("start", "end", "confidence"):
            np.testing.assert_allclose(
                [getattr(one, key) for one in found], told[key], atol=1e-4, err_msg=key
            )


def test_a_stream_that_was_never_fed_has_no_events(heard: Any) -> None:
    assert Stream(heard[1], 16_000).finish() == []


def test_events_are_where_the_tones_are(heard: Any) -> None:
    import tensorflow as tf

    samples = np.concatenate([np.zeros(9_600), tone(16_000, 0.4, [1_000.0]), np.zeros(11_200)])
    samples += np.random.default_rng(1).normal(0, 0.003, len(samples))
    told = heard[0](tf.constant(streaming.as_wav(samples, 16_000)))
    (start,), (end,) = told["start"].numpy(), told["end"].numpy()
    assert start == pytest.approx(0.6, abs=0.03) and end == pytest.approx(1.0, abs=0.03)


def test_two_events_are_never_closer_than_the_refractory_time() -> None:
    import tensorflow as tf

    from pipelines.speech_commands import spotting

    random = np.random.default_rng(5)
    count = 400
    scores = random.dirichlet(np.full(len(LABELS), 0.05), count // 4).repeat(4, axis=0).astype(np.float32)
    told = {"probabilities": scores, "start": np.zeros(count, np.float32), "end": np.ones(count, np.float32)}
    found = spotting.events({key: tf.constant(value) for key, value in told.items()})
    starts = found["end"].numpy() - 1
    assert len(starts) > 10
    assert np.diff(starts).min() > spotting.REFRACTORY * spotting.HOP / wav.RATE - 1e-6


def spoken_digits(folder: Path, numbers: int = 12, speakers: Sequence[str] = ("ann", "bob")) -> Path:
    """An archive in the layout of the Free Spoken Digit Dataset, of tones."""
    target = folder / "recordings.zip"
    random = np.random.default_rng(3)
    with zipfile.ZipFile(target, "w") as archive:
        for digit in range(10):
            for speaker in speakers:
                for number in range(5, 5 + numbers):
                    samples = tone(8_000, 0.2, [200 + 100 * digit]) + random.normal(0, 0.01, 1_600)
                    archive.writestr(f"recordings/{digit}_{speaker}_{number}.wav", wav.write(samples, 8_000))
    return target


def by_split(files: Sequence[Path], **options: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for split, row in rows.read_rows(files, options):
        found[split].append(row)
    return found


def test_known_speakers_are_judged_by_their_recordings_of_the_lowest_numbers(tmp_path: Path) -> None:
    found = by_split([spoken_digits(tmp_path)])
    words = {split: [row for row in there if row["kind"] == "word"] for split, there in found.items()}
    numbers = {
        split: {int(row["name"].split("_")[2][:-4]) for row in there} for split, there in words.items()
    }
    assert numbers == {"eval": {5, 6}, "tune": {7}, "train": set(range(8, 17))}
    assert all({row["label"] for row in there} == set(range(12)) for there in found.values())
    assert all(WORDS[row["label"]] == row["word"] for there in words.values() for row in there)
    backwards = next(row for row in found["train"] if row["kind"] == "unknown")
    original = next(row for row in found["train"] if f"reversed {row['name']}" == backwards["name"])
    with wave.open(io.BytesIO(original["audio"])) as one, wave.open(io.BytesIO(backwards["audio"])) as other:
        there, back = (np.frombuffer(w.readframes(9_999), "<i2") for w in (one, other))
    np.testing.assert_array_equal(there[::-1], back)


def test_a_speaker_left_out_is_all_that_is_judged(tmp_path: Path) -> None:
    archive = spoken_digits(tmp_path)
    found = by_split([archive], left_out="bob")
    speakers = {split: {row["speaker"] for row in there} - {"none"} for split, there in found.items()}
    assert speakers == {"eval": {"bob"}, "tune": {"ann"}, "train": {"ann"}}
    assert sum(row["kind"] == "word" for row in found["eval"]) == 120
    with pytest.raises(ProjectError, match=r"left_out is 'eve'.*'ann', 'bob'"):
        by_split([archive], left_out="eve")


def test_of_two_held_out_words_one_is_judged_and_never_trained_on(tmp_path: Path) -> None:
    found = by_split([spoken_digits(tmp_path)], held_out="eight,nine")
    unknown = {
        split: {row["word"] for row in there if row["label"] == UNKNOWN} for split, there in found.items()
    }
    (judged,) = unknown["eval"]
    assert judged in {"eight", "nine"} and judged not in unknown["train"] | unknown["tune"]
    assert {"eight", "nine"} - {judged} <= unknown["train"]
    assert not any(
        row["word"] in {"eight", "nine"} for there in found.values() for row in there if row["label"] < 10
    )


def test_the_sample_is_split_by_speakers_and_its_strangers_are_judged(tmp_path: Path) -> None:
    data.sample(tmp_path, 200, seed=3)
    found = by_split(sorted(tmp_path.iterdir()))
    speakers = [{row["speaker"] for row in found[split]} - {"none"} for split in rows.SPLITS]
    assert all(speakers) and sum(map(len, speakers)) == len(set.union(*speakers)) == data.LEAST_SPEAKERS
    unknown = [{row["word"] for row in found[split] if row["label"] == UNKNOWN} for split in rows.SPLITS]
    assert unknown[2] and not unknown[2] & (unknown[0] | unknown[1])
    silent = [row["name"] for row in found["eval"] if row["label"] == SILENCE]
    assert silent and all(name.startswith("_background_noise_/") for name in silent)


def test_no_second_of_noise_is_in_two_splits() -> None:
    checked = making.Checked()
    # Every sample says when it was: its value is its place.
    noise = {"n": wav.write(np.arange(240_000) / 240_000, 8_000)}
    ranges = {}
    for split in rows.SPLITS:
        made = [checked.samples("m", audio) for _, audio in making.without_speech(noise, split, 40, checked)]
        # Made quieter by a factor: the share of growth within a second tells where it began.
        places = [8_000 / (one[-1] / one[0] - 1) for one in made if one[0] > 0.01]
        ranges[split] = (min(places), max(places) + 8_000)
    assert ranges["train"][1] <= 0.65 * 240_000 * 1.01
    assert ranges["tune"][0] >= 0.65 * 240_000 * 0.99 and ranges["tune"][1] <= 0.75 * 240_000 * 1.01
    assert ranges["eval"][0] >= 0.75 * 240_000 * 0.99


def test_wrong_data_is_refused_with_what_was_expected(tmp_path: Path) -> None:
    archive = spoken_digits(tmp_path)

    def refused(match: str, name: str, content: bytes) -> None:
        other = tmp_path / name
        other.parent.mkdir(exist_ok=True)
        other.write_bytes(content)
        with pytest.raises(ProjectError, match=match):
            list(rows.read_rows([archive, other], {}))

    sound = wav.write(tone(8_000), 8_000)
    refused("names no word and speaker; expected <word>_<speaker>", "hello.wav", sound)
    refused(r"4_eve_1.wav cannot be decoded: .*an MP3 file", "4_eve_1.wav", b"ID3\x03" + bytes(100))
    refused(
        r"noise_1.wav has 0.5 s; expected a noise of ten seconds", "_background_noise_/noise_1.wav", sound
    )
    refused("no archive that can be read", "more.zip", b"PK but no archive")
    refused("no archive that can be read", "more.tar.gz", b"\x1f\x8b but no archive")
    with pytest.raises(ProjectError, match="no recording of zero, one"):
        list(rows.read_rows([tmp_path / "hello.txt"], {}))


def test_every_word_can_be_drawn_and_two_speakers_differ() -> None:
    from pipelines.speech_commands.voices import SPOKEN, say, voice

    random = np.random.default_rng(1)
    for word in SPOKEN:
        who = voice(random)
        said = say(word, who, random)
        assert 0.3 < len(said) / who.rate < 1.6 and 0.02 < np.abs(said).max() <= 1, word


def test_words_and_events_are_matched_once_and_by_name_and_place() -> None:
    said = [stitching.Said("one", 1.0, 1.4), stitching.Said("two", 2.0, 2.4)]
    assert stitching.score(said, said) == (2, 0, 0)
    assert stitching.score(said, [said[0], said[0]]) == (1, 1, 1)
    assert stitching.score(said, [said[0]._replace(word="two"), said[1]._replace(start=2.6, end=3.0)]) == (
        0,
        2,
        2,
    )
    assert stitching.score(said, []) == (0, 0, 2)


def test_noise_lies_as_far_below_the_words_as_is_asked() -> None:
    random = np.random.default_rng(2)
    clips = [("one", np.pad(tone(8_000, 0.4), 900)), ("two", 0.01 * tone(8_000, 0.3))]
    noise = random.normal(0, 1, 8_000)
    recording, said = stitching.stitch(clips, noise, 10.0, random)
    first, second = [recording[int(8_000 * one.start) : int(8_000 * one.end)] for one in said]
    gap = recording[int(8_000 * said[0].end) + 10 : int(8_000 * said[1].start) - 10]
    for spoken in (first, second):
        assert 10 * np.log10((np.var(spoken) - np.var(gap)) / np.var(gap)) == pytest.approx(10, abs=0.7)


def test_warping_finds_the_same_word_said_slower_and_the_plain_path_by_hand() -> None:
    from pipelines.speech_commands import warping

    random = np.random.default_rng(4)
    one, other = random.normal(0, 1, (10, 13)), random.normal(0, 1, (10, 13))
    slow = np.repeat(one, 2, axis=0)
    series = np.zeros((2, 49, 13))
    series[0, :20], series[1, :10] = slow, other
    near, far = warping.distances(one, series, np.array([20, 10]))
    assert near == pytest.approx(0, abs=1e-3) and far > 1

    def by_hand(a: np.ndarray, b: np.ndarray) -> float:
        gaps = np.linalg.norm(a[:, None] - b[None, :], axis=2)
        cost = np.full(gaps.shape, np.inf)
        for i, j in np.ndindex(*gaps.shape):
            if i == j == 0:
                cost[i, j] = gaps[i, j]
                continue
            ways = [cost[i - 1, j] + gaps[i, j]] if i else []
            ways += [cost[i, j - 1] + gaps[i, j]] if j else []
            ways += [cost[i - 1, j - 1] + 2 * gaps[i, j]] if i and j else []
            cost[i, j] = min(ways)
        return float(cost[-1, -1] / (len(a) + len(b)))

    assert far == pytest.approx(by_hand(one, other), rel=1e-5)


@pytest.mark.parametrize("rank", [1, 2])
def test_svdf_filters_have_the_rank_they_are_given_and_do_what_a_dense_layer_of_them_does(rank: int) -> None:
    import tensorflow as tf

    from pipelines.speech_commands.network import svdf_layer

    layer = svdf_layer()(7, rank)
    seen = tf.random.stateless_normal([3, 49, 40], [1, 2])
    got = layer(seen)
    kernels = layer.kernels().numpy()
    assert [int(one) for one in np.linalg.matrix_rank(kernels, tol=1e-5)] == [rank] * 7
    np.testing.assert_allclose(got, np.einsum("ntb,utb->nu", seen, kernels), atol=1e-4)
    assert sum(int(np.prod(one.shape)) for one in layer.trainable_weights) == 7 * (rank * (49 + 40) + 1)


def test_every_variant_takes_spectra_and_gives_twelve_logits() -> None:
    import tensorflow as tf

    from pipelines.base.registry import get
    from pipelines.base.settings import Settings
    from pipelines.speech_commands.network import build_model

    card = get("speech_commands")
    for variant in card.variants:
        parameters = dict(Settings.of(card, variant.name, "quick").parameters)
        model = build_model({**parameters, "variant": variant.name})
        assert model(tf.zeros([2, 49, 40])).shape == (2, len(LABELS)), variant.name


def test_training_clips_are_moved_and_mixed_but_rows_without_speech_stay_free_of_more_noise() -> None:
    import tensorflow as tf

    from pipelines.speech_commands import augmentation

    tf.random.set_seed(1)
    clip = np.pad(tone(8_000, 0.4), (2_400, 2_400)).astype(np.float32)
    waves = tf.constant(np.stack([clip] * 40))
    labels = tf.constant([SILENCE] * 20 + [3] * 20, tf.int64)
    noises = tf.random.normal([5, 8_000])
    moved = augmentation.moved_in_time(waves).numpy()
    starts = np.argmax(np.abs(moved) > 0.05, axis=1)
    assert moved.shape == waves.shape and starts.std() > 200 and np.abs(starts - 2_400).max() < 1_600
    mixed = augmentation.mixed(waves, labels, noises).numpy()
    assert (mixed[:20] == clip).all()
    added = (mixed[20:] - clip).std(axis=1)
    ratio = 20 * np.log10(float(augmentation.speech_level(waves)[0, 0]) / added[added > 0])
    assert 10 < (added > 0).sum() < 20
    assert ratio.min() > augmentation.LOWEST_SNR - 0.1 and ratio.max() < augmentation.HIGHEST_SNR + 0.1


def test_a_source_that_is_down_or_wrong_is_named_with_the_other_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch_from(answer: bytes | None) -> None:
        def urlopen(url: str, timeout: float) -> io.BytesIO:
            assert url == data.PROJECT.data.url
            if answer is None:
                raise OSError("no network here")
            return io.BytesIO(answer)

        monkeypatch.setattr(urllib.request, "urlopen", urlopen)
        data.fetch(tmp_path)

    with pytest.raises(ProjectError, match=r"no network here.*--data FOLDER"):
        fetch_from(None)
    with pytest.raises(ProjectError, match=r"is no zip archive.*--data FOLDER"):
        fetch_from(b"<html>moved</html>")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed_files:
        packed_files.writestr("x/recordings/1_a_1.wav", b"")
    with pytest.raises(ProjectError, match=r"has 1 recordings.*expected 3,000.*--data FOLDER"):
        fetch_from(archive.getvalue())


@pytest.mark.slow
@pytest.mark.xdist_group("run-speech_commands")
def test_the_served_model_says_what_is_wrong_with_a_file_and_streams_what_it_hears_in_the_whole(
    finished_run: Callable[[str], Any], tmp_path: Path
) -> None:
    from pipelines.base import answer
    from serving.client import Client
    from serving.errors import InvalidArgument

    run = finished_run("speech_commands")
    assert run.code == 0, run.output
    served = Path(run.record.pushed).parent
    # The drawn words of one speaker, whom the run heard or not: what is compared are two ways to ask.
    data.sample(tmp_path, 200, seed=9)
    with zipfile.ZipFile(tmp_path / "words.zip") as archive:
        words = [name for name in archive.namelist() if "00000000" in name or "00090000" in name][:8]
        clips = [making.Checked().samples(name, archive.read(name)) for name in words]
    recording = np.concatenate([np.pad(clip, 2_500) for clip in clips]).astype(np.float32)
    process, addresses = answer.start_server("speech_commands", served, tmp_path / "serving.log")
    try:
        with Client(addresses["grpc"]) as client:

            def ask(audio: bytes, signature: str = "events") -> dict[str, np.ndarray]:
                given: Any = [audio] if signature == "serving_default" else audio
                return client.predict(
                    "speech_commands", {"audio": np.array(given, dtype=object)}, signature=signature
                )

            minutes = file(bytes(2 * 8_000 * 600))
            for signature in ("serving_default", "events"):
                for wrong, told in (
                    (b"ID3\x03" + bytes(900), "an MP3 file"),
                    (file(packed(NAN, 32, FLOAT), bits=32, code=FLOAT), "NaN or infinity"),
                    (file(bytes(2 * 8_000 * 601)), "at most"),
                ):
                    with pytest.raises(InvalidArgument, match=told):
                        ask(wrong, signature)
            with pytest.raises(InvalidArgument, match="at most 10 seconds"):
                ask(minutes, "serving_default")
            assert ask(file(bytes(16_000)), "serving_default")["word"].tolist() == [b"silence"]
            assert all(len(values) == 0 for values in ask(minutes).values())
            whole = ask(streaming.as_wav(recording, 8_000))
            stream, found = Stream(lambda piece: ask(piece, "posteriors"), 8_000), []
            for begin in range(0, len(recording), 3_700):
                found += stream.feed(recording[begin : begin + 3_700])
            found += stream.finish()
    finally:
        process.terminate()
        process.wait(timeout=30)
    assert len(found) >= 3
    assert [one.word.encode() for one in found] == whole["word"].tolist()
    np.testing.assert_allclose([one.start for one in found], whole["start"], atol=1e-4)
    np.testing.assert_allclose([one.confidence for one in found], whole["confidence"], atol=1e-4)


@pytest.mark.slow
def test_tiny_conv_in_integers_answers_as_in_floats(tmp_path: Path) -> None:
    import tensorflow as tf

    from components.tflite_exporter import conversion
    from pipelines.base.registry import get
    from pipelines.base.settings import Settings
    from pipelines.speech_commands import model
    from pipelines.speech_commands.network import build_model

    tf.keras.utils.set_random_seed(1)
    parameters = dict(Settings.of(get("speech_commands"), "tiny_conv", "quick").parameters)
    network = build_model({**parameters, "variant": "tiny_conv"})
    classifier = model.make_classifier(network)
    spec = tf.TensorSpec([None, 49, 40], tf.float32, name="log_mel")
    serve = tf.function(
        lambda log_mel: {"probabilities": classifier.classify(log_mel)}, input_signature=[spec]
    )
    tf.saved_model.save(classifier, str(tmp_path / "m"), signatures={"log_mel": serve})
    seen = {"log_mel": np.random.default_rng(1).normal(0, 1, (40, 49, 40)).astype(np.float32)}
    small = conversion.to_int8(tmp_path / "m", "log_mel", seen, "int8")
    ours = conversion.run(small, seen, "probabilities", "log_mel")
    theirs = conversion.run_original(tmp_path / "m", "log_mel", seen, "probabilities")
    np.testing.assert_allclose(ours, theirs, atol=0.02)
    # An untrained network is undecided about some of the noise; where it is not, both say the same.
    second, first = np.sort(theirs, axis=1)[:, -2:].T
    decided = first - second > 0.01
    assert decided.sum() > 20
    np.testing.assert_array_equal(ours.argmax(axis=1)[decided], theirs.argmax(axis=1)[decided])


def test_what_is_shown_of_an_event(capsys: pytest.CaptureFixture[str]) -> None:
    streaming.show([Event("five", 1.25, 1.5, 0.914)])
    assert capsys.readouterr().out == "    1.25 s to 1.50 s  five (0.91)\n"
