"""Training: reads both domains into memory, fits the four networks, exports the translators' running means.

The evaluation rows are not opened here; the tune rows are watched and choose nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines.base import training, whole
from pipelines.base.errors import ProjectError
from pipelines.shoe_bags import learning, network
from pipelines.shoe_bags.features import IS_BAG_KEY, PICTURE_KEY, pictures
from pipelines.shoe_bags.learning import Domains
from pipelines.shoe_bags.translator import make_translator, signatures

BATCH = 256
FACTS_FILE = "facts.json"


def run_fn(fn_args: Any) -> None:
    """Trains the run's variant and exports it. Raises ProjectError where a split lacks a domain."""
    run = training.Run.of(fn_args, seed=learning.SEED)
    parameters = run.parameters
    side, channels = int(parameters["side"]), int(parameters["channels"])
    train = read(fn_args.train_files, run.spec, side, channels)
    tune = read(fn_args.eval_files, run.spec, side, channels)
    networks = network.build(parameters)
    facts = {
        "shoes": len(train.shoes),
        "bags": len(train.bags),
        "parameters": networks.to_bag.count_params(),
        "critic_parameters": networks.bag_critic.count_params(),
    }
    whole.write(run.folder / FACTS_FILE, json.dumps(facts, indent=1))
    learning.fit(networks, parameters, train, tune, run.folder, training.checkpoint_dir(fn_args))
    translator = make_translator(networks.served_to_bag, networks.served_to_shoe, side, channels)
    training.export(translator, fn_args, signatures(translator, run.transformed))


def read(files: Sequence[str], spec: Any, side: int, channels: int) -> Domains:
    """The transformed pictures of a split by domain, decoded once: a byte for each of their values in memory."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def opened(images: tf.Tensor) -> tf.Tensor:
        return pictures(images, side, channels)

    parts: dict[int, list[np.ndarray]] = {0: [], 1: []}
    for rows in training.dataset(files, spec, None, BATCH):
        pixels, bag = opened(tf.reshape(rows[PICTURE_KEY], [-1])).numpy(), rows[IS_BAG_KEY].numpy().ravel()
        for domain, kept in parts.items():
            kept.append(pixels[bag == domain])
    found = Domains(*(np.concatenate(parts[domain]) for domain in (0, 1)))
    if not all(map(len, found)):
        raise ProjectError(
            f"shoe_bags: a split has {len(found.shoes)} shoes and {len(found.bags)} bags; expected some of both."
        )
    return found
