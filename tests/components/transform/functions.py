"""Functions that the tests of Transform name by import path: all of TFT's analyzers, and what cannot be run."""

from __future__ import annotations

from typing import Any


def numbers(inputs: dict[str, Any]) -> dict[str, Any]:
    """Every analyzer of numbers, its value beside each row."""
    import tensorflow as tf
    import tensorflow_transform as tft

    x, n, vector, values = inputs["x"], inputs["n"], inputs["vector"], inputs["values"]
    whole = tf.where(tf.math.is_finite(vector), vector, 0.0)
    found = {
        "mean": tft.mean(x),
        "var": tft.var(x),
        "min": tft.min(x),
        "max": tft.max(x),
        "sum": tft.sum(x),
        "sum_n": tft.sum(n),
        "size": tft.size(x),
        "var_columns": tft.var(vector, reduce_instance_dims=False),
        "quantiles": tft.quantiles(whole[:, 0], 5, epsilon=0.01)[0],
        "weighted_quantiles": tft.quantiles(
            whole[:, 0], 4, epsilon=0.01, weights=tf.ones_like(whole[:, 0]) * 2.0
        )[0],
        "covariance": tf.reshape(tft.covariance(whole, tf.float64), [-1]),
        "pca": tf.reshape(tf.abs(tft.pca(whole, 2, tf.float64)), [-1]),
        "tukey_location": tft.tukey_location(whole[:, 0]),
        "tukey_scale": tft.tukey_scale(whole[:, 0]),
        "tukey_h": tf.stack(tft.tukey_h_params(whole[:, 0])),
        "histogram": tf.cast(tft.histogram(whole[:, 0], boundaries=[-1.0, 0.0, 1.0])[0], tf.float32),
    }
    result = {name: _beside(value, n) for name, value in found.items()}
    return result | {
        "z": tft.scale_to_z_score(x),
        "gaussian": tft.scale_to_gaussian(whole[:, :1]),
        "buckets": tft.bucketize(whole[:, :1], 3),
        "second_phase": tft.scale_to_0_1(tft.scale_to_z_score(whole[:, 1:2])),
        "third_phase": tft.compute_and_apply_vocabulary(
            tf.strings.as_string(tft.bucketize(tft.scale_to_z_score(whole[:, 1:2]), 3)),
            vocab_filename="third",
        ),
        "values_z": tft.scale_to_z_score(values),
    }


def holes(inputs: dict[str, Any]) -> dict[str, Any]:
    """What a new project does with columns that lack values, before and after analyzers."""
    import tensorflow_transform as tft

    from pipelines.base.holes import filled, is_missing

    words, values = filled(inputs["tokens"], ""), inputs["values"]
    return {
        "z": filled(tft.scale_to_z_score(values), 0.0),
        "buckets": tft.bucketize(filled(values, 0.0), 3),
        "word": tft.compute_and_apply_vocabulary(words, num_oov_buckets=1, vocab_filename="filled"),
        "x": filled(inputs["x"], -1.0),
        "no_values": is_missing(values),
        "no_tokens": is_missing(inputs["tokens"]),
        "no_x": is_missing(inputs["x"]),
    }


def some(inputs: dict[str, Any]) -> dict[str, Any]:
    """A few of each kind, in two phases."""
    import tensorflow as tf
    import tensorflow_transform as tft

    whole = tf.where(tf.math.is_finite(inputs["x"]), inputs["x"], 0.0)
    scaled = tft.scale_to_0_1(whole)
    tft.vocabulary(inputs["s"], vocab_filename="counted", store_frequency=True)
    tft.vocabulary(inputs["tokens"], vocab_filename="frequent", top_k=3)
    return {
        "z": tft.scale_to_z_score(inputs["x"]),
        "values": tft.scale_to_z_score(inputs["values"]),
        "buckets": tft.bucketize(scaled, 3),
        "tokens": tft.compute_and_apply_vocabulary(inputs["tokens"], vocab_filename="tokens"),
        "per_key": tft.scale_to_z_score_per_key(whole[:, 0], inputs["s"][:, 0]),
        "largest": _beside(tft.max(inputs["n"]), inputs["n"]),
        "n": inputs["n"],
    }


def cached(inputs: dict[str, Any]) -> dict[str, Any]:
    """One analyzer for each way in which the analyzer cache holds what was found."""
    import tensorflow as tf
    import tensorflow_transform as tft

    x, n, s = inputs["x"], inputs["n"], inputs["s"]
    tft.vocabulary(s, vocab_filename="counted", store_frequency=True)
    tft.vocabulary(n, vocab_filename="numbers", store_frequency=True)
    tft.vocabulary(s[:, 0], labels=inputs["label"][:, 0], vocab_filename="informative", store_frequency=True)
    tft.experimental.approximate_vocabulary(s, 10, vocab_filename="approximate", store_frequency=True)
    return {
        "z": tft.scale_to_z_score(x),
        "largest": _beside(tft.max(x), n),
        "buckets": tft.bucketize(x, 3),
        "covariance": _beside(tft.covariance(inputs["vector"], tf.float32), n),
        "per_key": tft.scale_to_z_score_per_key(x[:, 0], s[:, 0]),
    }


def per_key(inputs: dict[str, Any]) -> dict[str, Any]:
    """Every analyzer that works key by key, and counts of keys."""
    import tensorflow as tf
    import tensorflow_transform as tft

    # In files of keys and values TFT itself cannot take keys with white space.
    key = tf.strings.join(["k", tf.strings.regex_replace(inputs["s"][:, 0], r"\s", "_")])
    x, n = inputs["vector"][:, 0], inputs["n"]
    x = tf.where(tf.math.is_finite(x), x, 0.0)
    keys, counts = tft.count_per_key(key)
    labels = tft.histogram(key, categorical=True)
    tft.count_per_key(key, key_vocabulary_filename="counts")
    tft.vocabulary(tf.constant(["unused"]), vocab_filename="constant")
    return {
        "z": tft.scale_to_z_score_per_key(x, key),
        "unit": tft.scale_to_0_1_per_key(x, key),
        "span": tft.scale_by_min_max_per_key(x, key, -1.0, 1.0),
        "z_file": tft.scale_to_z_score_per_key(x, key, key_vocabulary_filename="z_keys"),
        "span_file": tft.scale_by_min_max_per_key(x, key, 0.0, 2.0, key_vocabulary_filename="span_keys"),
        "buckets": tft.bucketize_per_key(x, key, 3),
        "counts": _beside(tf.cast(counts, tf.float32), n),
        "keys": _beside(keys, n),
        "labels": _beside(labels[0], n),
        "label_counts": _beside(labels[1], n),
    }


def vocabularies(inputs: dict[str, Any]) -> dict[str, Any]:
    """Every option of `tft.vocabulary`, and what is built on vocabularies."""
    import tensorflow as tf
    import tensorflow_transform as tft

    s, n, tokens, label = inputs["s"], inputs["n"], inputs["tokens"], inputs["label"][:, 0]
    weight = tf.cast(tf.abs(n % 4), tf.float32) * 0.5
    one = s[:, 0]
    made = {
        "plain": {},
        "top": {"top_k": 3},
        "none": {"top_k": 2, "frequency_threshold": 10_000},
        "frequent": {"frequency_threshold": 2, "store_frequency": True},
        "shuffled": {"fingerprint_shuffle": True},
        "records": {"file_format": "tfrecord_gzip", "store_frequency": True},
        "weighted": {"weights": weight[:, 0], "store_frequency": True},
        "covered": {"top_k": 1, "coverage_top_k": 1, "key_fn": first_letter},
        "informative": {"labels": label, "store_frequency": True, "min_diff_from_avg": 0.0},
        "adjusted": {"labels": label, "use_adjusted_mutual_info": True, "top_k": 4},
        "weighted_labels": {"labels": label, "weights": weight[:, 0], "store_frequency": True},
        "reserved": {"reserved_tokens": ["<start>", "a"]},
    }
    for name, options in made.items():
        tft.vocabulary(one, vocab_filename=name, **options)
    tft.vocabulary(n, vocab_filename="numbers", store_frequency=True)
    tft.vocabulary(n, vocab_filename="top_numbers", top_k=2)
    tft.experimental.approximate_vocabulary(one, 100, vocab_filename="approximate", store_frequency=True)
    ids = tft.compute_and_apply_vocabulary(tokens, vocab_filename="tokens", num_oov_buckets=1)
    return {
        "ids": ids,
        "one": tft.compute_and_apply_vocabulary(s, top_k=4, vocab_filename="one", default_value=-7),
        "size": _beside(tft.experimental.get_vocabulary_size_by_name("tokens"), n),
        "n": n,
    }


def shapes(inputs: dict[str, Any]) -> dict[str, Any]:
    """Outputs of all kinds of tensors, without an analyzer."""
    import tensorflow as tf

    tokens = inputs["tokens"]
    ragged = tf.RaggedTensor.from_sparse(tokens)
    return {
        "dense": inputs["x"],
        "cube": tf.reshape(tf.tile(inputs["vector"], [1, 4]), [-1, 2, 3, 2]),
        "sparse": tokens,
        "ragged": ragged,
        "nested": tf.strings.unicode_split(ragged, "UTF-8", errors="replace"),
        "scalar": inputs["n"][:, 0],
        "text": inputs["s"],
    }


def first_letter(token: bytes) -> bytes:
    return token[:1]


def categories_and_words(inputs: dict[str, Any]) -> dict[str, Any]:
    """A vocabulary of whole texts, and one of their words, which hold no line breaks."""
    import tensorflow as tf
    import tensorflow_transform as tft

    words = tf.strings.split(tf.reshape(inputs["s"], [-1])).to_sparse()
    return {
        "category": tft.compute_and_apply_vocabulary(
            inputs["s"], num_oov_buckets=1, vocab_filename="categories"
        ),
        "words": tft.compute_and_apply_vocabulary(words, num_oov_buckets=1, vocab_filename="words"),
    }


def a_ptransform(inputs: dict[str, Any]) -> dict[str, Any]:
    """An analyzer that is a Beam transform of somebody's own."""
    import apache_beam as beam
    import numpy as np
    import tensorflow as tf
    import tensorflow_transform as tft

    class Rows(beam.PTransform):
        def expand(self, batches: Any) -> Any:
            count = batches | beam.Map(lambda pair: len(pair[0])) | beam.CombineGlobally(sum)
            return count | beam.Map(np.int64)

    (rows,) = tft.experimental.ptransform_analyzer([inputs["n"]], Rows(), [tf.int64], [[]])
    return {"share": tf.cast(inputs["n"] / rows, tf.float32)}


def square_roots(inputs: dict[str, Any]) -> dict[str, Any]:
    """Fails on negative `x`."""
    import tensorflow as tf

    x = inputs["x"]
    with tf.control_dependencies(
        [tf.debugging.assert_non_negative(x, message="no root of a negative number")]
    ):
        return {"root": tf.sqrt(x), "s": inputs["s"]}


def fails_before_analysis(inputs: dict[str, Any]) -> dict[str, Any]:
    """Fails on text that is no number, in what an analyzer reads."""
    import tensorflow as tf
    import tensorflow_transform as tft

    number = tf.strings.to_number(inputs["s"])
    return {"share": number / tft.max(number)}


def no_features(inputs: dict[str, Any]) -> dict[str, Any]:
    return {}


def _beside(value: Any, rows: Any) -> Any:
    """The value once a row, flat, as one of the types that examples have."""
    import tensorflow as tf

    flat = tf.reshape(value, [1, -1])
    if flat.dtype == tf.float64:
        flat = tf.cast(flat, tf.float32)
    if flat.dtype == tf.int32:
        flat = tf.cast(flat, tf.int64)
    return tf.RaggedTensor.from_tensor(tf.repeat(flat, tf.shape(rows)[0], axis=0)).to_sparse()
