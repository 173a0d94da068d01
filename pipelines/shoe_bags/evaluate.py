"""How good translations both ways are, by a judge who never met the translator, beside three rivals on the same rows.

The model is asked as a client asks (`there_and_back`). Bars are on the card; the rivals are held against them here,
so that a run whose bars would let one of them pass cannot be blessed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from components.function_evaluator.measuring import Given, Measured, Sampled, SliceKey
from components.report_gen import reading
from pipelines.base import training
from pipelines.base.project import Bar
from pipelines.shoe_bags import judge, measures, rivals
from pipelines.shoe_bags.features import BAG, DOMAIN_KEY, DOMAINS, IMAGE_KEY, SHOE, pictures
from pipelines.shoe_bags.judge import Judge
from pipelines.shoe_bags.project import PROJECT
from pipelines.shoe_bags.rivals import Made

BATCH = 100
# Pictures of each domain whose distances are measured: time and memory grow with their square.
PAIRED = 600
# Training pictures of each domain that rivals have.
KNOWN = 6_000
RIVALS_PASSING = "rivals_passing"


class Pictures(NamedTuple):
    """Rows of a split: pictures uint8 [n, side, side, channels], domains, kinds and names [n], encoded bytes [n]."""

    pixels: np.ndarray
    domains: np.ndarray
    kinds: np.ndarray
    names: np.ndarray
    images: np.ndarray

    def of(self, domain: str) -> Pictures:
        mine = self.domains == domain
        return Pictures(*(column[mine] for column in self))


class Reality(NamedTuple):
    """Of real evaluation pictures of one domain: distances [p, p], features [n, 64], error of the mean image [n]."""

    apart: np.ndarray
    features: np.ndarray
    mean_error: np.ndarray
    mean_features: np.ndarray


class Way(NamedTuple):
    """What was made of one domain's pictures: taken for the other domain [n], errors there and back [n], distances of
    the translations [p, p] and their features [n, 64]."""

    taken: np.ndarray
    errors: np.ndarray
    apart: np.ndarray
    features: np.ndarray


def evaluate(given: Given) -> Sampled:
    """The metrics of `_metrics` for both ways and for each rival, and by kind. Drawn again are evaluation rows."""
    side, channels = int(given.parameters["side"]), int(given.parameters["channels"])
    known = read(tuple(given.examples["train"]), side, channels)
    judged = read(tuple(given.files), side, channels)
    expert = expert_of(tuple(given.examples["train"]), side, channels)
    ways = {"": ask(given.model, judged)}
    taught = {domain: known.of(domain).pixels[:KNOWN] for domain in DOMAINS}
    for name in rivals.RIVALS:
        ways[f"_{name}"] = {
            domain: rivals.made(name, judged.of(domain).pixels, taught[domain], taught[other])
            for domain, other in (DOMAINS, DOMAINS[::-1])
        }
    real = {domain: _reality(expert, judged.of(domain).pixels, taught[domain]) for domain in DOMAINS}
    seen = {
        name: {domain: _way(expert, made[domain], judged.of(domain).pixels, domain) for domain in DOMAINS}
        for name, made in ways.items()
    }
    own = {domain: expert.look(judged.of(domain).pixels)[0] == domain for domain in DOMAINS}
    kinds = {domain: judged.of(domain).kinds for domain in DOMAINS}
    places = {domain: np.flatnonzero(judged.domains == domain) for domain in DOMAINS}
    bars = PROJECT.bars(str(given.parameters["profile"]), str(given.parameters["variant"]))

    def measure(drawn: np.ndarray) -> Measured:
        counts = {domain: drawn[places[domain]] for domain in DOMAINS}
        overall: dict[str, float] = {"example_count": float(drawn.sum())}
        found = {name: _metrics(way, real, counts) for name, way in seen.items()}
        for name, metrics in found.items():
            overall |= {f"{metric}{name}": value for metric, value in metrics.items()}
        overall |= _references(real, own, counts)
        overall[RIVALS_PASSING] = float(sum(passes(found[name], bars) for name in list(found)[1:]))
        return {(): overall, **_by_kind(seen[""], real, kinds, counts)}

    return Sampled(len(judged.names), measure, "pictures")


def passes(metrics: dict[str, float], bars: Sequence[Bar]) -> bool:
    """Whether metrics meet all bars that are on one of them."""
    return all(bar.met_by(metrics[bar.metric]) for bar in bars if bar.metric in metrics)


def _metrics(
    ways: dict[str, Way], real: dict[str, Reality], drawn: dict[str, np.ndarray]
) -> dict[str, float]:
    """Of both ways, the translations' metrics named after the domain they should be of, the reconstruction's after the
    domain it starts from:

    `bag_taken`, the share of shoes' translations taken for bags; `bag_diversity`, their mean distance from each other
    in units of real bags'; `bag_frechet`, the Frechet distance of their features from a half of the real bags', and
    `bag_frechet_share`, that in units of the mean image's; `shoe_reconstruction`, the squared error of shoes there and
    back in units of the mean image's.
    """
    found = {}
    for source, target in (DOMAINS, DOMAINS[::-1]):
        way, of, there = ways[source], drawn[source], real[target]
        found[f"{target}_taken"] = _mean(way.taken, of)
        found[f"{source}_reconstruction"] = _mean(way.errors, of) / _mean(real[source].mean_error, of)
        spread = measures.mean_distance(way.apart, of[: len(way.apart)])
        usual = measures.mean_distance(there.apart, drawn[target][: len(there.apart)])
        found[f"{target}_diversity"] = spread / usual
        half, rest = _halves(len(there.features))
        # As many translations as the real half has that is the measure of how near one can come.
        count = min(len(way.features), half.stop)
        reference = measures.moments(there.features[rest], drawn[target][rest])
        found[f"{target}_frechet"] = measures.frechet(
            measures.moments(way.features[:count], of[:count]), reference
        )
        mean = measures.moments(there.mean_features, np.ones(1))
        found[f"{target}_frechet_share"] = found[f"{target}_frechet"] / measures.frechet(mean, reference)
    return found


def _references(
    real: dict[str, Reality], own: dict[str, np.ndarray], drawn: dict[str, np.ndarray]
) -> dict[str, float]:
    """What real pictures reach: `bag_frechet_halves` between two halves, `bag_frechet_of_mean_image`, and `bag_known`,
    the share of real bags that the judge takes for bags; for shoes too."""
    found = {}
    for domain in DOMAINS:
        features, of = real[domain].features, drawn[domain]
        half, rest = _halves(len(features))
        reference = measures.moments(features[rest], of[rest])
        found[f"{domain}_frechet_halves"] = measures.frechet(
            measures.moments(features[half], of[half]), reference
        )
        mean = measures.moments(real[domain].mean_features, np.ones(1))
        found[f"{domain}_frechet_of_mean_image"] = measures.frechet(mean, reference)
        found[f"{domain}_known"] = _mean(own[domain], of)
    return found


def _by_kind(
    ways: dict[str, Way],
    real: dict[str, Reality],
    kinds: dict[str, np.ndarray],
    drawn: dict[str, np.ndarray],
) -> dict[SliceKey, dict[str, float]]:
    found: dict[SliceKey, dict[str, float]] = {}
    for source, target in (DOMAINS, DOMAINS[::-1]):
        for kind in np.unique(kinds[source]):
            of = drawn[source] * (kinds[source] == kind)
            if of.any():
                found[(("kind", str(kind)),)] = {
                    "example_count": float(of.sum()),
                    f"{target}_taken": _mean(ways[source].taken, of),
                    f"{source}_reconstruction": _mean(ways[source].errors, of)
                    / _mean(real[source].mean_error, of),
                }
    return found


def _mean(values: np.ndarray, drawn: np.ndarray) -> float:
    return float(values.astype(np.float64) @ drawn / max(1, drawn.sum()))


def _halves(count: int) -> tuple[slice, slice]:
    return slice(0, count // 2), slice(count // 2, count)


def _reality(expert: Judge, pixels: np.ndarray, known: np.ndarray) -> Reality:
    mean = rivals.mean_image(known)[None]
    features = expert.look(pixels)[1]
    return Reality(
        measures.distances(pixels[:PAIRED]), features, measures.errors(mean, pixels), expert.look(mean)[1]
    )


def _way(expert: Judge, made: Made, given: np.ndarray, source: str) -> Way:
    domains, features = expert.look(made.translations)
    target = BAG if source == SHOE else SHOE
    apart = measures.distances(made.translations[:PAIRED])
    return Way(domains == target, measures.errors(made.reconstructions, given), apart, features)


def ask(model: Path, rows: Pictures) -> dict[str, Made]:
    """What a SavedModel's `there_and_back` makes of the pictures of each domain. Raises what the model raises."""
    serve = reading.signature(model, "there_and_back")
    return {domain: _asked(serve, rows.of(domain)) for domain in DOMAINS}


def _asked(serve: Callable[..., dict[str, Any]], rows: Pictures) -> Made:
    import tensorflow as tf

    parts = []
    for at in range(0, len(rows.images), BATCH):
        images, domains = rows.images[at : at + BATCH], rows.domains[at : at + BATCH]
        answer = serve(image=tf.constant(images), domain=tf.constant(domains))
        parts.append([answer[key].numpy() for key in ("translation", "reconstruction")])
    return Made(*(np.concatenate(part).reshape(rows.pixels.shape) for part in zip(*parts, strict=True)))


@functools.lru_cache(maxsize=4)
def read(files: tuple[str, ...], side: int, channels: int) -> Pictures:
    """Rows of raw gz TFRecords in an order of hashed names, so that any first part of them is like the whole."""
    import hashlib

    import tensorflow as tf

    keys = (IMAGE_KEY, DOMAIN_KEY, "kind", "name")
    spec: dict[str, Any] = {key: tf.io.FixedLenFeature([], tf.string) for key in keys}
    opened = tf.function(lambda images: pictures(images, side, channels))
    parts = []
    for rows in training.dataset(files, spec, None, 256):
        told = [np.char.decode(rows[key].numpy().astype(bytes)) for key in keys[1:]]
        parts.append((opened(rows[IMAGE_KEY]).numpy(), *told, rows[IMAGE_KEY].numpy()))
    columns = [np.concatenate(part) for part in zip(*parts, strict=True)]
    order = np.argsort([hashlib.sha256(name.encode()).hexdigest() for name in columns[3]])
    return Pictures(*(column[order] for column in columns))


@functools.lru_cache(maxsize=1)
def expert_of(files: tuple[str, ...], side: int, channels: int) -> Judge:
    """The judge of these training rows; kept, since candidate and last blessed model meet the same one."""
    known = read(files, side, channels)
    return judge.train(known.pixels, known.kinds, known.domains)
