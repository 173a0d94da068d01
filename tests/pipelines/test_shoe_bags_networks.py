"""shoe_bags: a training step and its resumption, a gate that refuses what is no translation, the served signatures."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.base import answer
from pipelines.base.registry import get
from pipelines.shoe_bags import data, drawing, learning, rows
from pipelines.shoe_bags.features import DOMAINS
from pipelines.shoe_bags.learning import Domains

TINY = {
    "side": 16, "channels": 1, "width": 4, "normalisation": "none", "learning_rate": 1e-3, "steps": 2, "epochs": 2,
    "reconstruction_weight": 10.0, "batch_size": 8,
}  # fmt: skip


def drawn(count: int) -> Domains:
    random = np.random.default_rng(3)
    shoes = np.stack([drawing.shoe("sneaker", random)[6:22, 6:22, None] for _ in range(count)])
    bags = np.stack([drawing.bag(random)[6:22, 6:22, None] for _ in range(count)])
    return Domains(shoes, bags)


def weights(networks: Any) -> list[np.ndarray]:
    return [array for network in networks for array in network.get_weights()]


@pytest.mark.slow
def test_a_training_that_was_killed_ends_where_it_would_have_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tf_keras as keras

    from pipelines.shoe_bags import network

    train, tune = drawn(12), drawn(4)
    watch, calls = learning.watch, []

    def killed(*given: Any) -> learning.Shown:
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return watch(*given)

    def begun(seed: int) -> Any:
        keras.utils.set_random_seed(seed)
        return network.build(TINY)

    def ended(networks: Any, name: str) -> list[np.ndarray]:
        folder, checkpoints = tmp_path / name, tmp_path / f"{name}-checkpoints"
        folder.mkdir(exist_ok=True)
        learning.fit(networks, TINY, train, tune, folder, checkpoints)
        assert not checkpoints.exists()
        grids = sorted(file.name for file in (folder / learning.GRIDS).iterdir())
        assert grids == ["0001.png", "0002.png"]
        return weights(networks)

    whole = ended(begun(1), "whole")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(learning, "watch", killed)
        ended(begun(1), "killed")
    # Whatever the second process begins with, the checkpoint's weights take its place.
    ends = whole, ended(begun(7), "killed")
    for one, other in zip(*ends, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_losses_and_grids_are_in_tensorboards_logs_and_translators_learn_to_come_back(tmp_path: Path) -> None:
    import tensorflow as tf
    import tf_keras as keras

    from components.report_gen import pictures
    from pipelines.shoe_bags import network
    from pipelines.shoe_bags.report import over_epochs

    keras.utils.set_random_seed(1)
    parameters = {**TINY, "steps": 25, "epochs": 3}
    networks = network.build(parameters)
    before = weights(networks[:4])
    learning.fit(networks, parameters, drawn(30), drawn(12), tmp_path, tmp_path / "checkpoints")
    # All of the translators; a critic's last bias stands still while its pictures are all within the hinge.
    assert all((one != other).any() for one, other in zip(before, weights(networks[:4]), strict=True))
    curves = pictures.read_curves(tmp_path)
    assert {tag: len(points) for tag, points in curves["train"].items()} == {
        "critic": 3,
        "adversarial": 3,
        "reconstruction": 3,
    }
    (points,) = curves["validation"].values()
    assert points[-1][1] < 0.9 * points[0][1]
    (events,) = (tmp_path / "validation").glob("events.*")
    tags = {
        value.tag
        for event in tf.compat.v1.train.summary_iterator(str(events))
        for value in event.summary.value
    }
    assert "originals, translations, reconstructions" in tags
    with Image.open(tmp_path / learning.GRIDS / "0003.png") as grid:
        assert grid.size == (10 * 16, 6 * 16)
    over_epochs(tmp_path / learning.GRIDS, tmp_path / "epochs.png")
    assert (tmp_path / "epochs.png").stat().st_size > 1000


def test_translators_have_a_bottleneck_of_four_by_four_at_any_side() -> None:
    from pipelines.shoe_bags import network

    for side, channels, normalisation in ((32, 1, "none"), (64, 3, "batch")):
        parameters = {"side": side, "channels": channels, "width": 2, "normalisation": normalisation}
        model = network.translator(parameters)
        assert model.output_shape == (None, side, side, channels)
        assert min(layer.output_shape[1] for layer in model.layers[1:]) == network.BOTTLENECK
        assert network.critic(parameters).output_shape == (None, 1)
    with pytest.raises(ValueError, match="side is 48; expected 4 times a power of two"):
        network.stages(48)


def test_a_critics_kernels_have_a_largest_singular_value_of_one() -> None:
    import tensorflow as tf

    from pipelines.shoe_bags import network

    critic = network.critic({"side": 16, "channels": 1, "width": 4})
    for _ in range(60):
        critic(tf.zeros([1, 16, 16, 1]))
    layers = [layer for layer in critic.layers if hasattr(layer, "direction")]
    assert len(layers) == 3
    for layer in layers:
        kernel = layer.normalised().numpy().reshape(-1, layer.filters)
        assert np.linalg.svd(kernel, compute_uv=False)[0] == pytest.approx(1, abs=0.02)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """A drawn sample as an ExampleGen writes it."""
    from components.function_example_gen.executor import write_splits

    raw, folder = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("examples")
    data.sample(raw, 900, seed=6)
    write_splits(rows.read_rows(sorted(raw.iterdir()), {}), rows.SPLITS, str(folder))
    return {split: [str(file) for file in (folder / f"Split-{split}").glob("*.gz")] for split in rows.SPLITS}


def _collapsed(picture: Any) -> Callable[[Any], Any]:
    import tensorflow as tf

    shown = tf.constant(np.pad(picture, 2)[None, ..., None] / 127.5 - 1, tf.float32)
    return lambda given: tf.repeat(shown, tf.shape(given)[0], axis=0)


def _models() -> Iterator[tuple[str, Any, Any, set[str]]]:
    """(name, to bag, to shoe, bars that it must miss)."""
    random = np.random.default_rng(2)
    bag, shoe = _collapsed(drawing.bag(random)), _collapsed(drawing.shoe("sneaker", random))
    missed = {f"{domain}_{of}" for domain in DOMAINS for of in ("reconstruction", "diversity")}
    yield "collapsed", bag, shoe, missed
    yield "identity", lambda given: given, lambda given: given, {f"{domain}_taken" for domain in DOMAINS}


def save(translator: Any, folder: Path) -> None:
    import tensorflow as tf

    from pipelines.shoe_bags.features import is_bag

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name=key) for key in ("image", "domain")])
    def there_and_back(image: Any, domain: Any) -> Any:
        return translator.there_and_back(translator.opened(image), is_bag(domain))

    tf.saved_model.save(translator, str(folder), signatures={"there_and_back": there_and_back})


@pytest.mark.slow
def test_a_collapsed_generator_and_an_identity_are_refused_and_no_rival_passes(
    examples: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.function_evaluator import sampling
    from components.function_evaluator.evaluating import evaluate
    from components.report_gen import reading
    from pipelines.shoe_bags.evaluate import RIVALS_PASSING
    from pipelines.shoe_bags.translator import make_translator

    # A tenth of the resamples: the verdicts here hang on no interval.
    monkeypatch.setattr(sampling, "RESAMPLES", 20)
    card = get("shoe_bags")
    for name, to_bag, to_shoe, missed in _models():
        save(make_translator(to_bag, to_shoe, 32, 1), tmp_path / name)
        bars = card.bars("quick")
        told = evaluate(
            "pipelines.shoe_bags.evaluate.evaluate",
            {
                "model": str(tmp_path / name),
                "examples": examples,
                "splits": ["eval"],
                "transform_graph": None,
                "parameters": {**card.variants[0].parameters, "profile": "quick", "variant": "discogan"},
            },
            None,
            [dataclasses.asdict(bar) for bar in bars],
            [["kind"]],
            0,
            str(tmp_path / f"{name}-evaluation"),
        )
        assert told == {"blessed": False, "no_comparison": ""}
        found = reading.evaluation(tmp_path / f"{name}-evaluation")[()]
        assert missed <= {bar.metric for bar in bars if not bar.met_by(found[bar.metric])}, (name, found)
        assert found[RIVALS_PASSING] == 0
        assert min(found["bag_known"], found["shoe_known"]) > 0.9, found
        # What each rival is told by: it stays what it was, does not vary, or does not come back.
        assert found["bag_taken_identity"] < 0.1 and found["bag_diversity_mean_image"] == 0
        assert found["shoe_reconstruction_mean_image"] == pytest.approx(1)
        assert found["bag_taken_nearest"] > 0.9 and found["shoe_reconstruction_nearest"] > 0.5


def png(pixels: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.slow
@pytest.mark.xdist_group("run-shoe_bags")
def test_pictures_are_translated_there_and_back_over_grpc_and_bad_ones_are_refused(
    finished_run: Callable[[str], Any], tmp_path: Path
) -> None:
    from serving.client import Client
    from serving.errors import InvalidArgument

    run = finished_run("shoe_bags")
    random = np.random.default_rng(12)
    shoes = np.array([png(drawing.shoe("sneaker", random)) for _ in range(6)], dtype=object)
    bags = np.array([png(drawing.bag(random)) for _ in range(6)], dtype=object)
    process, addresses = answer.start_server(
        "shoe_bags", Path(run.record.pushed).parent, tmp_path / "serving.log", "--enable_batching"
    )
    try:
        with Client(addresses["grpc"]) as client:

            def ask(signature: str, **inputs: Any) -> dict[str, np.ndarray]:
                return client.predict("shoe_bags", inputs, signature=signature)

            made = ask("shoe_to_bag", image=shoes)["translation"]
            assert made.shape == (6, 32, 32) and made.dtype == np.uint8 and made.max() > 60
            back = ask("bag_to_shoe", image=np.array([png(one) for one in made], dtype=object))["translation"]
            both = np.stack([shoes, bags], axis=1).ravel()
            domains = np.array(["shoe", "bag"] * 6, dtype=object)
            told = ask("there_and_back", image=both, domain=domains)
            np.testing.assert_allclose(told["translation"][::2].astype(int), made, atol=1)
            assert np.abs(told["reconstruction"][::2].astype(int) - back).mean() < 2
            assert told["reconstruction"].shape == (12, 32, 32)
            alone = ask("there_and_back", image=bags[:1], domain=np.array(["bag"], dtype=object))
            np.testing.assert_allclose(alone["translation"].astype(int), told["translation"][1:2], atol=1)
            unusual = [png(np.zeros((1, 1), np.uint8)), png(np.full((90, 40, 3), 90, np.uint8), "JPEG")]
            assert ask("shoe_to_bag", image=np.array(unusual, dtype=object))["translation"].shape == (
                2,
                32,
                32,
            )
            for wrong in (b"", b"no picture", shoes[0][:60]):
                with pytest.raises(InvalidArgument):
                    ask("shoe_to_bag", image=np.array([wrong], dtype=object))
            with pytest.raises(InvalidArgument, match=r"domain is none of .*shoe.*bag"):
                ask("there_and_back", image=bags[:1], domain=np.array(["hat"], dtype=object))
            assert ask("shoe_to_bag", image=shoes)["translation"].shape == made.shape
    finally:
        answer.end(process)
