"""Two tables that no single run gives: a speaker left out, each in turn; and the five variants side by side.

    python -m pipelines.speech_commands.study speakers --data FOLDER [--variant conv] [--set epochs=20]
    python -m pipelines.speech_commands.study variants --data FOLDER

It trains as a run does, by the same rows, clips, networks and parameters (`--profile full` unless another is named),
without TFX around it, and keeps no model. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.base import registry
from pipelines.base.settings import Settings
from pipelines.speech_commands import evaluate, model, network, rows, warping
from pipelines.speech_commands.words import UNKNOWN

Clips = dict[str, tuple[np.ndarray, np.ndarray]]
TIMED = 200
RESAMPLES = 1000


def main(argv: Sequence[str] | None = None) -> None:
    """Prints a line for each training, one for people about all of them, and one of JSON."""
    parser = argparse.ArgumentParser(description="Trainings side by side, outside of a pipeline.")
    parser.add_argument("table", choices=("speakers", "variants"))
    parser.add_argument("--data", type=Path, required=True, help="folder of recordings or archives of them")
    parser.add_argument(
        "--variant", help="`speakers`: one (conv); `variants`: some, with commas between (all)"
    )
    parser.add_argument("--profile", default="full")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="as in `viaduct run`"
    )
    options = parser.parse_args(argv)
    given = dict(one.partition("=")[::2] for one in options.set)
    files = sorted(path for path in options.data.rglob("*") if path.is_file())
    if options.table == "variants":
        known = [variant.name for variant in registry.get("speech_commands").variants]
        chosen = options.variant.split(",") if options.variant else known
        figures = {"variants": variants(files, chosen, options.profile, given)}
    else:
        figures = speakers(files, options.variant or "conv", options.profile, given)
    print(json.dumps(figures))


def speakers(files: Sequence[Path], variant: str, profile: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Accuracy on the ten words of each speaker, whom the model never heard, and their mean over speakers.

    The interval is of resampled speakers: there are few of them, and it is as wide as that makes it.
    """
    names = sorted({one.speaker for one in rows.find(files)[0]})
    found, rivals = {}, {}
    for name in names:
        parameters = settings(variant, profile, {**given, "left_out": name})
        clips = load(files, parameters)
        made = train(parameters, clips)
        waves, labels = (part[clips["eval"][1] < UNKNOWN] for part in clips["eval"])
        found[name] = float((answers(made, waves) == labels).mean())
        # The rival's time is in proportion to the training clips; a third of them do it no harm that is seen.
        rivals[name] = float((warping.nearest(waves[::3], *clips["train"]) == labels[::3]).mean())
        print(f"{name:>10}: {found[name]:.2%} of {len(labels):,} (rival {rivals[name]:.2%})", flush=True)
    values = np.array(list(found.values()))
    drawn = np.random.default_rng(1).choice(values, (RESAMPLES, len(values))).mean(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    rival = float(np.mean(list(rivals.values())))
    print(
        f"{variant}, a speaker left out: mean {values.mean():.2%} (95 %: {low:.2%} to {high:.2%}); rival {rival:.2%}"
    )
    return {"mean": float(values.mean()), "low": low, "high": high, "rival": rival, "speakers": found}


def variants(
    files: Sequence[Path], names: Sequence[str], profile: str, given: Mapping[str, str]
) -> dict[str, Any]:
    """Accuracy on the judged rows, parameters, size of the weights and time per clip of each variant in `names`."""
    found = {}
    clips = load(files, settings(names[0], profile, given))
    for name in names:
        parameters = settings(name, profile, given)
        started = time.process_time()
        made = train(parameters, clips)
        seconds = time.process_time() - started
        waves, labels = clips["eval"]
        right, spoken = answers(made, waves) == labels, labels < UNKNOWN
        weights = int(sum(np.prod(one.shape) for one in made.trainable_weights))
        figures = {
            "accuracy": float(right.mean()),
            "word_accuracy": float(right[spoken].mean()),
            "parameters": weights,
            "kilobytes": weights * 4 / 1024,
            "clip_ms": clip_ms(made, waves),
            "training_cpu_s": seconds,
        }
        found[name] = figures
        told = ", ".join(f"{key} {value:,.4g}" for key, value in figures.items())
        print(f"{name:>17}: {told}", flush=True)
    return found


def settings(variant: str, profile: str, given: Mapping[str, str]) -> dict[str, Any]:
    """The parameters that a run of the variant has with `--set` of `given`."""
    chosen = Settings.of(registry.get("speech_commands"), variant, profile, given)
    return {**chosen.parameters, "variant": variant}


def load(files: Sequence[Path], parameters: Mapping[str, Any]) -> Clips:
    """(clips [n, 8000], labels [n]) of each split."""
    audio: dict[str, list[bytes]] = {split: [] for split in rows.SPLITS}
    labels: dict[str, list[int]] = {split: [] for split in rows.SPLITS}
    for split, row in rows.read_rows(files, parameters):
        audio[split].append(row["audio"])
        labels[split].append(row["label"])
    return {
        split: (evaluate.clips(np.array(audio[split], object)), np.array(labels[split]))
        for split in rows.SPLITS
    }


def train(parameters: dict[str, Any], clips: Clips) -> Any:
    """A network fitted to `train`, as run_fn fits it."""
    import tf_keras as keras

    keras.utils.set_random_seed(1)
    made = network.build_model(parameters)
    batch = parameters["batch_size"]
    model.compile_model(made, parameters, math.ceil(len(clips["train"][1]) / batch))
    made.fit(model.training_batches(*clips["train"], batch), epochs=parameters["epochs"], verbose=0)
    return made


def answers(made: Any, waves: np.ndarray) -> np.ndarray:
    """The label that is told of each clip [n]."""
    classifier = model.make_classifier(made)
    batches = (waves[i : i + 256] for i in range(0, len(waves), 256))
    return np.concatenate([classifier.outputs(one)["label"].numpy() for one in batches])


def clip_ms(made: Any, waves: np.ndarray) -> float:
    """Milliseconds of processor time for one clip alone, from its samples at 8 kHz to its label; median of many."""
    import tensorflow as tf

    classifier = model.make_classifier(made)
    ask = tf.function(lambda one: classifier.outputs(one)["label"])
    times = []
    for number in range(TIMED):
        one = tf.constant(waves[number % len(waves)][None])
        started = time.process_time()
        ask(one).numpy()
        times.append(time.process_time() - started)
    return float(np.median(times[TIMED // 10 :]) * 1000)


if __name__ == "__main__":
    main()
