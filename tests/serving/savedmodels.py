"""Small SavedModels for the tests, made with plain TensorFlow; `build` makes all kinds once per session."""

from __future__ import annotations

from pathlib import Path

ECHO_TYPES = (
    "float32", "float64", "int32", "uint8", "int16", "int8", "string", "complex64", "int64", "bool", "bfloat16",
    "uint16", "complex128", "float16", "uint32", "uint64",
)  # fmt: skip


def scaled(path: Path | str, factor: float) -> None:
    """x [n, 2] float -> y = x * factor + 1. The factor tells versions apart."""
    import tensorflow as tf

    class Model(tf.Module):
        def __init__(self) -> None:
            self.factor = tf.Variable(float(factor))

        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")])
        def call(self, x):
            return {"y": x * self.factor + 1.0}

    model = Model()
    tf.saved_model.save(model, str(path), signatures={"serving_default": model.call})


def pair(path: Path | str) -> None:
    """Signatures serving_default: a, b [n] float -> sum, difference; `text`: name [n] string -> name, n_bytes;
    `heavy`: x [n, 64] -> y after many matrix products (milliseconds)."""
    import tensorflow as tf

    class Model(tf.Module):
        def __init__(self) -> None:
            self.weights = tf.Variable(tf.eye(64))

        @tf.function(
            input_signature=[tf.TensorSpec([None], tf.float32, "a"), tf.TensorSpec([None], tf.float32, "b")]
        )
        def call(self, a, b):
            return {"sum": a + b, "difference": a - b}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "name")])
        def text(self, name):
            return {"name": tf.identity(name), "name_bytes": name + "!", "length": tf.strings.length(name)}

        @tf.function(input_signature=[tf.TensorSpec([None, 64], tf.float32, "x")])
        def heavy(self, x):
            for _ in tf.range(2000):
                x = tf.matmul(x, self.weights)
            return {"y": x}

    model = Model()
    signatures = {"serving_default": model.call, "text": model.text, "heavy": model.heavy}
    tf.saved_model.save(model, str(path), signatures=signatures)


def echo(path: Path | str) -> None:
    """One signature per type, named after it: x of any shape -> y, the same."""
    import tensorflow as tf

    module = tf.Module()

    def make(name: str):
        @tf.function(input_signature=[tf.TensorSpec(None, getattr(tf, name), "x")])
        def call(x):
            return {"y": tf.identity(x)}

        return call

    module.calls = {name: make(name) for name in ECHO_TYPES}
    tf.saved_model.save(module, str(path), signatures=dict(module.calls))


def rows(path: Path | str, factor: float) -> None:
    """tf.Examples with x, one float: y = factor x + 1 [n]."""
    import tensorflow as tf

    class Model(tf.Module):
        def __init__(self) -> None:
            self.factor = tf.Variable(float(factor))

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
        def serve(self, inputs):
            parsed = tf.io.parse_example(inputs, {"x": tf.io.FixedLenFeature([], tf.float32)})
            return {"y": parsed["x"] * self.factor + 1.0}

    model = Model()
    tf.saved_model.save(model, str(path), signatures={"serve_examples": model.serve})


def examples(path: Path | str) -> None:
    """tf.Examples with x [3] float and k string: serving_default classifies, `regress` regresses."""
    import tensorflow as tf

    spec = tf.TensorSpec([None], tf.string, "inputs")

    class Model(tf.Module):
        def __init__(self) -> None:
            values = tf.lookup.KeyValueTensorInitializer(["a", "b"], [1.0, 2.0])
            self.table = tf.lookup.StaticHashTable(values, -1.0)
            self.weights = tf.Variable(tf.ones([3, 1]))

        def parse(self, inputs):
            return tf.io.parse_example(
                inputs,
                {
                    "x": tf.io.FixedLenFeature([3], tf.float32),
                    "k": tf.io.FixedLenFeature([], tf.string, default_value="a"),
                },
            )

        @tf.function(input_signature=[spec])
        def classify(self, inputs):
            parsed = self.parse(inputs)
            score = parsed["x"] @ self.weights + self.table.lookup(parsed["k"])[:, None]
            names = tf.tile(tf.constant([["yes", "no"]]), [tf.shape(score)[0], 1])
            return {"classes": names, "scores": tf.concat([score, 1 - score], 1)}

        @tf.function(input_signature=[spec])
        def regress(self, inputs):
            return {"outputs": self.parse(inputs)["x"] @ self.weights}

    model = Model()
    signatures = {"serving_default": model.classify, "regress": model.regress}
    tf.saved_model.save(model, str(path), signatures=signatures)


def build(root: Path) -> None:
    """root/{scaled/1, scaled/2, scaled/3, pair/1, echo/1, examples/1}."""
    for version in (1, 2, 3):
        scaled(root / "scaled" / str(version), version)
    pair(root / "pair" / "1")
    echo(root / "echo" / "1")
    examples(root / "examples" / "1")


def config(root: Path) -> str:
    """A ModelServerConfig text over what `build` made."""
    entries = "".join(
        f'  config {{ name: "{name}" base_path: "{root / name}" model_platform: "tensorflow" {extra} }}\n'
        for name, extra in [
            ("scaled", "model_version_policy { all {} } version_labels { key: 'stable' value: 1 }"),
            ("pair", ""),
            ("echo", ""),
            ("examples", ""),
        ]
    )
    return f"model_config_list {{\n{entries}}}\n"


def cut(file: Path) -> None:
    """Damages a file: only its first byte stays."""
    file.write_bytes(file.read_bytes()[:1])


def unsteady(
    path: Path | str,
    factor: float,
    *,
    errors: float = 0,
    nans: float = 0,
    slow: float = 0,
    hangs: bool = False,
) -> None:
    """As `scaled`, but of so many calls, drawn at random: `errors` fail, `nans` answer NaN, `slow` take long.
    `hangs`: none ever ends."""
    import tensorflow as tf

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")])
        def call(self, x):
            lucky = tf.debugging.Assert(tf.random.uniform([]) >= errors, ["this model fails now and then"])
            # Each round some 2 ms of a core.
            rounds = 2**31 - 1 if hangs else tf.where(tf.random.uniform([]) < slow, 60, 0)
            with tf.control_dependencies([lucky]):
                waste = tf.eye(384)
                for _ in tf.range(rounds):
                    waste = tf.matmul(waste, waste)
            y = x * factor + 1.0 + 0.0 * tf.reduce_sum(waste)
            return {"y": tf.where(tf.random.uniform([]) < nans, y * float("nan"), y)}

    model = Model()
    tf.saved_model.save(model, str(path), signatures={"serving_default": model.call})
