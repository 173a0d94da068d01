"""From the bytes of a WAV file to mono samples at 8 kHz, with TensorFlow operations alone.

TensorFlow's own decoder takes 16-bit PCM at any rate and resamples nothing. Here RIFF's chunks are walked in the
graph: PCM of 8, 16, 24 and 32 bits, floats of 32 bits, also behind WAVE_FORMAT_EXTENSIBLE, one or two channels, 4,000
to 192,000 samples a second. Everything else fails with InvalidArgumentError that says what was sent and what is taken.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

RATE = 8_000
LOWEST_RATE, HIGHEST_RATE = 4_000, 192_000
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
BITS = (8, 16, 24, 32)
# Rates are taken to the next multiple of 25 Hz, so that 320 samples at 8 kHz are always a whole number of samples as
# recorded: BLOCK of one are `rate / 25` of the other. What that changes is at most 0.3 % of pitch and tempo.
RATE_STEP = 25
BLOCK = RATE // RATE_STEP
# Zero crossings of the sinc on either side, and where its pass band ends, as a share of half the lower rate.
CROSSINGS, ROLL_OFF = 16, 0.94
MOST_CHUNKS = 1_000
# A recorder that streams does not know its length and writes one of these.
OPEN_LENGTHS = (0, 0xFFFFFFFF)


def read(audio: tf.Tensor, longest: float) -> tf.Tensor:
    """One WAV file, a string [] -> mono samples at 8 kHz, float32 [n], -1 to 1.

    Raises InvalidArgumentError for what is no such file, for samples that are NaN or infinite, for none at all, and
    for more than `longest` seconds.
    """
    samples, rate = decode(audio, longest)
    return resample(samples, rate)


def decode(audio: tf.Tensor, longest: float) -> tuple[tf.Tensor, tf.Tensor]:
    """One WAV file, a string [] -> mono samples as recorded, float32 [n], and their rate, int32 []. See `read`."""
    import tensorflow as tf

    length = tf.strings.length(audio)
    start = tf.strings.substr(tf.strings.join([audio, "\0" * 12]), 0, 12)
    is_wave = (tf.strings.substr(start, 0, 4) == "RIFF") & (tf.strings.substr(start, 8, 4) == "WAVE")
    with tf.control_dependencies([_require(is_wave, "not a WAV file (RIFF, WAVE)", _kind(start))]):
        format_at, data_at, data_size = _chunks(audio, length)
    code, channels, rate, bits = _format(audio, format_at, length)
    known = ((code == PCM) & tf.reduce_any(bits == tf.constant(BITS))) | ((code == FLOAT) & (bits == 32))
    checks = [
        _require(known, "expected PCM of 8, 16, 24 or 32 bits or floats of 32; got format, bits", code, bits),
        _require((channels == 1) | (channels == 2), "expected one or two channels; got", channels),
        _require(
            (rate >= LOWEST_RATE) & (rate <= HIGHEST_RATE),
            f"expected {LOWEST_RATE} to {HIGHEST_RATE} samples a second; got",
            rate,
        ),
    ]
    with tf.control_dependencies(checks):
        width = bits // 8
        frames = data_size // tf.maximum(channels * width, 1)
    limits = [
        _require(frames > 0, "the WAV file has no samples; data bytes", data_size),
        _require(
            tf.cast(frames, tf.float32) <= longest * tf.cast(rate, tf.float32),
            f"expected at most {longest:g} seconds of sound; got samples, samples a second",
            frames,
            rate,
        ),
    ]
    with tf.control_dependencies(limits):
        data = tf.strings.substr(audio, data_at, frames * channels * width)
    values = tf.switch_case(
        _branch(code, bits),
        [
            lambda: _eight(data),
            lambda: _sixteen(data),
            lambda: _24(data),
            lambda: _32(data),
            lambda: _float(data),
        ],
    )
    finite = tf.reduce_all(tf.math.is_finite(values))
    with tf.control_dependencies(
        [_require(finite, "expected finite samples; got NaN or infinity among", frames)]
    ):
        mono = tf.reduce_mean(tf.reshape(tf.clip_by_value(values, -1.0, 1.0), [frames, channels]), axis=1)
    return mono, rate


def _require(condition: tf.Tensor, text: str, *got: tf.Tensor) -> tf.Operation:
    import tensorflow as tf

    return tf.debugging.Assert(condition, [text, *got])


def _kind(start: tf.Tensor) -> tf.Tensor:
    """What the first bytes say that a file is, for the error; no more than is worth telling."""
    import tensorflow as tf

    names = {r"(?s)ID3.*": "an MP3 file", r"(?s)OggS.*": "an Ogg file", r"(?s)fLaC.*": "a FLAC file"}
    # As Latin-1 every byte is a character, which regular expressions want; MP3 without tags begins with FF Ex or Fx.
    text = tf.strings.unicode_transcode(start, "ISO-8859-1", "UTF-8")
    names |= {r"(?s)\x{FF}[\x{E0}-\x{FF}].*": "an MP3 file", r"(?s)RIFX.*": "RIFF with the high byte first"}
    told = tf.constant("something else")
    for pattern, name in names.items():
        told = tf.where(tf.strings.regex_full_match(text, pattern), name, told)
    return tf.strings.join(["got ", told])


def _number(audio: tf.Tensor, place: tf.Tensor, size: int) -> tf.Tensor:
    """The whole number of `size` bytes (2 or 4), low byte first, at `place`; int64 []."""
    import tensorflow as tf

    bytes_there = tf.cast(tf.io.decode_raw(tf.strings.substr(audio, place, size), tf.uint8), tf.int64)
    return tf.reduce_sum(bytes_there * tf.constant([256**power for power in range(size)], tf.int64))


def _chunks(audio: tf.Tensor, length: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Where the content of `fmt ` and of `data` begins, and how many bytes the latter has; int32 [] each."""
    import tensorflow as tf

    length = tf.cast(length, tf.int64)

    def more(
        place: tf.Tensor, seen: tf.Tensor, form: tf.Tensor, data: tf.Tensor, size: tf.Tensor
    ) -> tf.Tensor:
        return (place + 8 <= length) & (data == 0) & (seen < MOST_CHUNKS)

    def step(
        place: tf.Tensor, seen: tf.Tensor, form: tf.Tensor, data: tf.Tensor, size: tf.Tensor
    ) -> list[tf.Tensor]:
        name, told = tf.strings.substr(audio, place, 4), _number(audio, place + 4, 4)
        is_data = name == "data"
        return [
            # A chunk of odd size is followed by a byte of padding.
            place + 8 + told + told % 2,
            seen + 1,
            tf.where(name == "fmt ", place + 8, form),
            tf.where(is_data, place + 8, data),
            tf.where(is_data, told, size),
        ]

    zero = tf.constant(0, tf.int64)
    begin = [tf.constant(12, tf.int64), zero, zero, zero, zero]
    _, _, form, data, size = tf.while_loop(more, step, begin)
    open_end = tf.reduce_any(size == tf.constant(OPEN_LENGTHS, tf.int64))
    rest = length - data
    size = tf.where(open_end, rest, size)
    checks = [
        _require(
            (form > 0) & (data > 0), "the WAV file lacks its format or its data; places found", form, data
        ),
        _require(size <= rest, "the WAV file is cut off; bytes of data announced, there", size, rest),
    ]
    with tf.control_dependencies(checks):
        return tf.cast(form, tf.int32), tf.cast(data, tf.int32), tf.cast(size, tf.int32)


def _format(audio: tf.Tensor, place: tf.Tensor, length: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """(code, channels, rate, bits) of the format chunk at `place`, int32 [] each; an extensible one's own code."""
    import tensorflow as tf

    with tf.control_dependencies(
        [_require(place + 16 <= length, "the WAV file's format is cut off at", length)]
    ):
        code, channels = _number(audio, place, 2), _number(audio, place + 2, 2)
    extended = (code == EXTENSIBLE) & (place + 26 <= length)
    code = tf.cond(extended, lambda: _number(audio, place + 24, 2), lambda: code)
    # A rate of two milliards would be negative as int32.
    rate = tf.minimum(_number(audio, place + 4, 4), 2**31 - 1)
    return tuple(tf.cast(value, tf.int32) for value in (code, channels, rate, _number(audio, place + 14, 2)))


def _branch(code: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    return tf.where(code == FLOAT, 4, bits // 8 - 1)


def _eight(data: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    return (tf.cast(tf.io.decode_raw(data, tf.uint8), tf.float32) - 128) / 128


def _sixteen(data: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    return tf.cast(tf.io.decode_raw(data, tf.int16), tf.float32) / 2**15


def _24(data: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    low, middle, high = tf.unstack(
        tf.cast(tf.reshape(tf.io.decode_raw(data, tf.uint8), [-1, 3]), tf.int32), axis=1
    )
    return tf.cast(low + middle * 2**8 + (high - 2**8 * (high // 2**7)) * 2**16, tf.float32) / 2**23


def _32(data: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    return tf.cast(tf.io.decode_raw(data, tf.int32), tf.float32) / 2**31


def _float(data: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    return tf.io.decode_raw(data, tf.float32)


def resample(samples: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
    """Mono samples [n] at `rate` (int32 []) -> at 8 kHz [about n * 8000 / rate]; see RATE_STEP. 8 kHz stay as they are.

    Band-limited interpolation by a sinc under a Hann window (Smith and Gossett 1984), one column of the kernel for each
    of the 320 places that a sample at 8 kHz can have in a block.
    """
    import tensorflow as tf

    step = step_of(rate)
    return tf.cond(step == BLOCK, lambda: samples, lambda: _interpolated(samples, step))


def step_of(rate: tf.Tensor) -> tf.Tensor:
    """How many samples at `rate` are a block of 320 at 8 kHz."""
    return (rate + RATE_STEP // 2) // RATE_STEP


def _interpolated(samples: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    count = tf.size(samples)
    ratio = tf.cast(step, tf.float32) / BLOCK
    stretch = tf.maximum(ratio, 1.0)
    reach = tf.cast(tf.math.ceil(CROSSINGS * stretch), tf.int32)
    blocks = -(-count // step)
    padded = tf.pad(samples, [[reach, reach + blocks * step - count]])
    width = step + 2 * reach
    pieces = tf.gather(padded, tf.range(blocks)[:, None] * step + tf.range(width)[None, :])
    away = (
        tf.cast(tf.range(-reach, step + reach), tf.float32)[:, None]
        - ratio * tf.range(BLOCK, dtype=tf.float32)[None, :]
    )
    out = tf.reshape(pieces @ _kernel(away / stretch) / stretch, [-1])
    # As 64-bit numbers: ten minutes at 192 kHz times 320 are more than 32 bits hold.
    kept = tf.cast(count, tf.int64) * BLOCK // tf.cast(step, tf.int64)
    return out[: tf.cast(tf.maximum(kept, 1), tf.int32)]


def _kernel(places: tf.Tensor) -> tf.Tensor:
    """The windowed sinc at `places`, counted in zero crossings of the lower rate."""
    import tensorflow as tf

    inside = tf.abs(places) < CROSSINGS
    hann = 0.5 * (1 + tf.cos(math.pi * places / CROSSINGS))
    return tf.where(inside, ROLL_OFF * tf.experimental.numpy.sinc(ROLL_OFF * places) * hann, 0.0)


def write(samples: tf.Tensor | bytes, rate: int) -> bytes:
    """Mono float samples [n] -> a WAV file of 16 bits, in Python; what lies outside of -1 to 1 is cut."""
    import io
    import wave

    import numpy as np

    whole = np.clip(np.round(np.asarray(samples) * 2**15), -(2**15), 2**15 - 1).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(whole.tobytes())
    return file.getvalue()
