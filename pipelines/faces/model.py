"""Training: faces are cut out, an embedder is made, and other people say how alike two pictures of one person are.

`triplet` trains a network of its own; `descriptor` takes a pretrained one as it is, so its training people teach
nothing. The evaluation people are not opened here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from pipelines.base import training
from pipelines.base.errors import ProjectError
from pipelines.faces import measures, network, weights
from pipelines.faces.features import PERSON_KEY, PICTURE_XF
from pipelines.faces.recogniser import Embedder

BATCH = 64
FACTS_FILE = "facts.json"


class Faces(NamedTuple):
    """Pictures of a split: PNGs [n] and whose they are, [n] numbers into `names`."""

    pictures: np.ndarray
    people: np.ndarray
    names: np.ndarray


def run_fn(fn_args: Any) -> None:
    """Makes the variant's embedder, chooses its threshold on the tune people, exports the recogniser."""
    from pipelines.faces.recogniser import make_recogniser, signatures

    run = training.Run.of(fn_args, seed=1)
    parameters = run.parameters
    train, tune = read(fn_args.train_files, run.spec), read(fn_args.eval_files, run.spec)
    detector = _detector(parameters)
    if parameters["variant"] == "descriptor":
        embedder = _pretrained(parameters)
    else:
        embedder = _trained(fn_args, parameters, detector, train, tune)
    recogniser = make_recogniser(embedder, detector)
    learned = parameters["variant"] == "triplet"
    recogniser.threshold.assign(choose_threshold(recogniser, tune, train, learned))
    facts = {
        "threshold": float(recogniser.threshold.numpy()),
        "parameters": int(embedder.model.count_params()),
    }
    (run.folder / FACTS_FILE).write_text(json.dumps(facts, indent=1), encoding="utf-8")
    training.export(recogniser, fn_args, signatures(recogniser, run.transformed))


def _detector(parameters: dict[str, Any]) -> Any:
    """MTCNN, or None where no weights are named: a quick run takes its pictures as faces from edge to edge."""
    if parameters["weights"]:
        from pipelines.faces.detector import make_detector

        return make_detector(parameters["weights"])
    if parameters["variant"] == "descriptor" or parameters["profile"] == "full":
        raise ProjectError(
            f"faces: the variant {parameters['variant']!r} in the profile {parameters['profile']!r} needs pretrained "
            f"weights, and --set weights is ''; expected a folder, or one called weights beside the data. {weights.HOW}"
        )
    return None


def _pretrained(parameters: dict[str, Any]) -> Embedder:
    from pipelines.faces import descriptor

    arrays = weights.tensorflow_js(parameters["weights"], descriptor.MODEL)
    model = descriptor.build_model(arrays)
    return Embedder(model, lambda crops: model(crops, training=False), descriptor.SIDE, descriptor.DIMENSIONS)


def _trained(fn_args: Any, parameters: dict[str, Any], detector: Any, train: Faces, tune: Faces) -> Embedder:
    from pipelines.faces.recogniser import make_recogniser

    arrays = weights.mtcnn(parameters["weights"], "onet") if parameters["weights"] else ()
    model = network.build_model(parameters, arrays)
    embedder = Embedder(
        model,
        lambda crops: network.embed(model, crops),
        network.SIDE,
        parameters["dimensions"],
        network.REACH,
    )
    looking = make_recogniser(embedder, detector)
    fit(model, fn_args, parameters, cut(looking, train), cut(looking, tune))
    return embedder


def read(files: list[str], spec: Any) -> Faces:
    """The transformed pictures of a split."""
    pictures, people = [], []
    for rows in training.dataset(files, spec, None, 256):
        pictures.append(rows[PICTURE_XF].numpy().ravel())
        people.append(rows[PERSON_KEY].numpy().ravel())
    names, numbers = np.unique(np.concatenate(people), return_inverse=True)
    return Faces(np.concatenate(pictures), numbers, names)


def cut(recogniser: Any, split: Faces) -> tuple[np.ndarray, np.ndarray]:
    """(standardised grey faces [m, 64, 64], people [m]) of the pictures in which a face is found."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def look(pictures: tf.Tensor) -> Any:
        seen = recogniser.faces(pictures)
        return network.grey(seen["crop"]), seen["faces"] > 0

    parts = [
        look(tf.constant(split.pictures[at : at + BATCH])) for at in range(0, len(split.pictures), BATCH)
    ]
    faces, found = (np.concatenate([part.numpy() for part in column]) for column in zip(*parts, strict=True))
    return faces[found], split.people[found]


def fit(
    model: Any,
    fn_args: Any,
    parameters: dict[str, Any],
    train: tuple[np.ndarray, np.ndarray],
    tune: tuple[np.ndarray, np.ndarray],
) -> None:
    """Semi-hard triplets among `people_a_batch` people with four pictures each; the tune people only draw curves."""
    import tensorflow as tf
    import tf_keras as keras

    network.begin(model, *train)
    faces, people = tf.constant(train[0]), tf.constant(train[1])
    steps, epochs = parameters["steps"], parameters["epochs"]
    chosen = tf.data.Dataset.from_generator(
        lambda: batches(train[1], parameters["people_a_batch"]),
        output_signature=tf.TensorSpec([None], tf.int64),
    )
    rows = chosen.map(lambda at: network.moved(tf.gather(faces, at), tf.gather(people, at)))
    judged = tf.data.Dataset.from_tensors((tune[0], tune[1]))
    falling = keras.optimizers.schedules.CosineDecay(parameters["learning_rate"], steps * epochs)
    model.compile(
        keras.optimizers.Adam(falling),
        lambda labels, embeddings: network.triplet_loss(labels, embeddings, parameters["margin"]),
    )
    training.fit(model, fn_args, rows.prefetch(2), judged, epochs, steps_per_epoch=steps)


def batches(people: np.ndarray, at_once: int, each: int = 4) -> Iterator[np.ndarray]:
    """Rows of random people with `each` random pictures, without end; people with one picture teach nothing."""
    random = np.random.default_rng(1)
    members = [rows for person in np.unique(people) if len(rows := np.flatnonzero(people == person)) > 1]
    if len(members) < 2:
        raise ProjectError(
            "faces: fewer than two people with two faces found; nothing can be learned of triplets."
        )
    while True:
        some = random.choice(len(members), min(at_once, len(members)), replace=False)
        yield np.concatenate([random.permutation(members[person])[:each] for person in some])


def choose_threshold(recogniser: Any, tune: Faces, train: Faces, learned: bool) -> float:
    """The similarity at which one in a hundred strangers would be taken for somebody among all these people.

    Strangers are the tune people; where nothing was `learned` of the training people, they too. Galleries hold both: of
    four people alone nobody learns how alike the most alike of twenty strangers is.
    """
    import tensorflow as tf

    embed = tf.function(recogniser.embed, input_signature=[tf.TensorSpec([None], tf.string)])
    pictures = np.concatenate([tune.pictures, train.pictures])
    people = np.concatenate([tune.people, train.people + len(tune.names)])
    parts = [embed(tf.constant(pictures[at : at + BATCH])) for at in range(0, len(pictures), BATCH)]
    embeddings = np.concatenate([part["embedding"].numpy() for part in parts])
    found = np.concatenate([part["found"].numpy() for part in parts])
    asked = measures.probes(measures.similarities(embeddings, found), people)
    if learned:
        asked = asked.of(people < len(tune.names))
    return measures.threshold(asked, np.ones(people.max() + 1))
