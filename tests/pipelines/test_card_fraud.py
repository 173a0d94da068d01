"""card_fraud: the sample is like the real thing, thresholds keep their promise, the model serves what it learned."""

from __future__ import annotations

import http.server
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipelines.base.errors import ProjectError
from pipelines.card_fraud import data, detector
from pipelines.card_fraud.features import AMOUNT_KEY, INPUTS_KEY, LABEL_KEY, SCORED, TIME_KEY, V_KEYS, WIDTH

PARAMETERS = {
    "hidden": 8,
    "code": 4,
    "learning_rate": 3e-3,
    "batch_size": 64,
    "epochs": 2,
    "wanted_recall": 0.9,
    "false_alarms": 0.02,
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Any:
    import pandas as pd

    folder = tmp_path_factory.mktemp("sample")
    data.sample(folder, 6_000, seed=5)
    return pd.read_csv(folder / data.FILE)


@pytest.mark.parametrize("source", ["sample", pytest.param("real", marks=pytest.mark.real_data)])
def test_the_sample_has_the_traits_of_real_transactions(
    source: str, rows: Any, request: pytest.FixtureRequest
) -> None:
    """The same facts hold for both, so that what is learned on the sample is not an artefact of it."""
    if source == "real":
        import pandas as pd

        rows = pd.read_csv(request.getfixturevalue("real_data") / "card_fraud" / "creditcard_subset.csv.gz")
    assert list(rows.columns) == [TIME_KEY, *V_KEYS, AMOUNT_KEY, LABEL_KEY]
    normal, fraud = rows[rows[LABEL_KEY] == 0], rows[rows[LABEL_KEY] == 1]
    assert 0.01 < len(fraud) / len(rows) < 0.03
    assert (rows[TIME_KEY].diff().dropna() >= 0).all(), "rows are in order of time"
    assert rows[TIME_KEY].max() < 2 * 86_400
    hours = (rows[TIME_KEY] // 3600 % 24).value_counts()
    assert hours.reindex(range(9, 22)).mean() > 2 * hours.reindex(range(2, 6)).mean(), "nights are quiet"
    assert normal["V1"].std() > 3 * normal["V27"].std()
    assert abs(np.corrcoef(normal[list(V_KEYS)].T) - np.eye(28)).mean() < 0.08, "components hardly correlate"
    assert (normal[list(V_KEYS)].kurt() > 1.5).mean() > 0.5, "tails are heavy"
    shift = (fraud[list(V_KEYS)].mean() - normal[list(V_KEYS)].mean()) / normal[list(V_KEYS)].std()
    assert shift["V14"] < -4 and shift["V4"] > 2 and abs(shift["V25"]) < 0.5
    assert normal[AMOUNT_KEY].mean() > 2 * normal[AMOUNT_KEY].median(), "amounts have a long tail"
    assert np.allclose(rows[AMOUNT_KEY], rows[AMOUNT_KEY].round(2)) and rows[AMOUNT_KEY].min() >= 0


def test_some_frauds_look_normal_so_that_no_threshold_is_perfect(rows: Any) -> None:
    fraud, normal = rows[rows[LABEL_KEY] == 1], rows[rows[LABEL_KEY] == 0]
    hidden = (fraud["V14"] > normal["V14"].quantile(0.05)).mean()
    assert 0.02 < hidden < 0.3


def test_a_download_that_is_cut_short_is_refused_and_says_where_to_look(tmp_path: Path) -> None:
    file = tmp_path / data.FILE
    data.sample(tmp_path, 50, seed=1)
    with pytest.raises(ProjectError, match=r"50 rows; expected .* 284,807 rows.*incomplete"):
        data.check(file)


def test_a_mirror_that_is_gone_names_the_other_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        monkeypatch.setattr(data, "MIRROR", f"http://127.0.0.1:{server.server_port}/creditcard.csv")
        with pytest.raises(ProjectError, match=r"cannot be fetched.*Kaggle.*--data FOLDER"):
            data.fetch(tmp_path)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_threshold_reaches_the_wanted_recall_where_the_budget_allows() -> None:
    random = np.random.default_rng(0)
    frauds, normals = random.normal(5, 1, 200), random.normal(0, 1, 20_000)
    threshold = detector.choose_threshold(frauds, normals, wanted_recall=0.9, false_alarms=0.01)
    assert 0.9 <= (frauds >= threshold).mean() <= 0.91
    assert (normals >= threshold).mean() < 0.001, "no more alarms than the recall needs"


def test_the_budget_of_false_alarms_goes_before_the_recall() -> None:
    random = np.random.default_rng(0)
    frauds, normals = random.normal(1, 1, 200), random.normal(0, 1, 20_000)
    threshold = detector.choose_threshold(frauds, normals, wanted_recall=0.95, false_alarms=0.005)
    assert (normals >= threshold).mean() <= 0.005
    assert (frauds >= threshold).mean() < 0.95


def test_columns_that_tell_frauds_apart_weigh_more_and_none_weighs_against_suspicion() -> None:
    random = np.random.default_rng(0)
    labels = (random.random(3_000) < 0.03).astype(int)
    residuals = random.normal(0, 1, (3_000, SCORED))
    residuals[labels == 1, 4] *= 8
    units = detector.column_units(residuals[labels == 0])
    weights = detector.column_weights(detector.evidence(residuals, units), labels)
    assert weights.argmax() == 4 and weights.min() >= 0 and weights.sum() == pytest.approx(1, abs=1e-5)


def test_a_tune_split_without_frauds_is_refused() -> None:
    from pipelines.card_fraud.model import tuned_detector

    residuals, labels = np.ones((10, SCORED)), np.zeros(10, int)
    with pytest.raises(ValueError, match=r"0 frauds in 10 rows.*needs both classes"):
        tuned_detector(None, (residuals, labels), (residuals, labels), PARAMETERS)


@pytest.fixture(scope="module")
def trained() -> Any:
    """(detector, inputs, labels, facts) on vectors whose frauds are far out in two columns."""
    import tensorflow as tf

    from pipelines.card_fraud.model import _residuals, build_model, tuned_detector

    tf.keras.utils.set_random_seed(3)
    random = np.random.default_rng(3)
    labels = (random.random(3_000) < 0.04).astype(np.int64)
    inputs = random.normal(0, 1, (3_000, WIDTH)).astype(np.float32)
    inputs[labels == 1, 3:5] += 9
    model = build_model(PARAMETERS)
    normal = inputs[labels == 0]
    model.fit(normal, normal, batch_size=64, epochs=2, verbose=0)
    batches = tf.data.Dataset.from_tensor_slices(({INPUTS_KEY: inputs}, labels)).batch(512)
    residuals = _residuals(model, batches)
    made, facts = tuned_detector(model, residuals, residuals, PARAMETERS)
    return SimpleNamespace(detector=made, inputs=inputs, labels=labels, facts=facts)


def test_a_score_of_one_half_is_the_threshold(trained: Any) -> None:
    outputs = {name: value.numpy() for name, value in trained.detector(trained.inputs).items()}
    assert set(outputs) == {"score", "is_fraud", "error", "threshold"}
    assert ((outputs["score"] >= 0.5) == (outputs["is_fraud"] == 1)).mean() > 0.999
    assert ((outputs["error"] >= outputs["threshold"]) == (outputs["is_fraud"] == 1)).all()
    assert outputs["score"].min() >= 0 and outputs["score"].max() < 1


def test_the_detector_in_the_graph_flags_what_its_tuning_in_numpy_counted(trained: Any) -> None:
    flagged = trained.detector(trained.inputs)["is_fraud"].numpy() == 1
    assert flagged[trained.labels == 1].mean() == pytest.approx(trained.facts["tune_recall"], abs=0.01)
    assert flagged[trained.labels == 0].mean() == pytest.approx(trained.facts["tune_false_alarms"], abs=0.001)
    assert trained.facts["tune_recall"] > 0.85 and trained.facts["tune_false_alarms"] <= 0.021


def test_trees_odds_are_cut_at_their_threshold_and_are_never_infinite() -> None:
    import tensorflow as tf

    from pipelines.card_fraud import boosting

    chances = tf.constant([[0.0], [0.2], [0.5], [0.9], [1.0]])
    found = boosting.make_detector(lambda given: given[INPUTS_KEY], 1.0)(chances)
    assert found["is_fraud"].numpy().tolist() == [0, 0, 1, 1, 1]
    np.testing.assert_allclose(found["score"].numpy()[1:4], [0.2, 0.5, 0.9], rtol=1e-5)
    assert np.isfinite(found["error"]).all() and found["threshold"].numpy().tolist() == [1.0] * 5


@pytest.mark.slow
def test_boosted_trees_find_frauds_and_keep_the_budget_on_rows_they_have_not_seen() -> None:
    import tensorflow as tf

    from pipelines.card_fraud import boosting

    def rows(seed: int) -> Any:
        random = np.random.default_rng(seed)
        labels = (random.random(2_000) < 0.05).astype(np.int64)
        inputs = random.normal(0, 1, (2_000, WIDTH)).astype(np.float32)
        inputs[labels == 1, 3] += 4
        return inputs, labels, tf.data.Dataset.from_tensor_slices(({INPUTS_KEY: inputs}, labels)).batch(512)

    wanted = {"trees": 30, "depth": 3, "shrinkage": 0.2, "wanted_recall": 0.8, "false_alarms": 0.02}
    *_, train = rows(1)
    *_, tune = rows(2)
    inputs, labels, _ = rows(3)
    made, facts = boosting.tuned(boosting.grow(wanted, train, tune), tune, wanted)
    flagged = made(tf.constant(inputs))["is_fraud"].numpy() == 1
    assert facts["tune_false_alarms"] <= 0.02 and flagged[labels == 0].mean() < 0.04
    assert flagged[labels == 1].mean() > 0.7 and facts["trees"] <= 30
    alone = tune.map(lambda features, label: (features, tf.zeros_like(label)))
    with pytest.raises(ValueError, match=r"0 frauds in 2000 rows; a threshold needs both classes"):
        boosting.tuned(boosting.grow(wanted, train, tune), alone, wanted)


def test_slices_name_the_size_of_the_amount_and_the_part_of_the_day() -> None:
    import tensorflow as tf

    from pipelines.card_fraud.features import slice_features

    raw = {
        AMOUNT_KEY: tf.constant([[9.99], [10.0], [100.0]]),
        TIME_KEY: tf.constant([[86_400.0 + 2 * 3600], [3600.0 * 7], [0.0]]),
    }
    sliced = slice_features(raw)
    assert sliced["amount"].numpy().ravel().tolist() == [b"below 10", b"10 to 100", b"100 and more"]
    assert sliced["part_of_day"].numpy().ravel().tolist() == [b"night", b"day", b"day"]


def test_the_report_counts_each_class_once(tmp_path: Path) -> None:
    from pipelines.card_fraud import report

    labels, errors = np.array([0, 0, 0, 1, 1]), np.array([0.1, 0.2, 3.0, 0.3, 4.0])
    assert report.confusion(labels, errors >= 1).tolist() == [[2, 1], [1, 1]]
    report.error_by_class(errors, labels, 1.0, tmp_path / "errors.png")
    report.precision_and_recall(errors, labels, 1.0, tmp_path / "recall.png")
    assert {p.name for p in tmp_path.iterdir()} == {"errors.png", "recall.png"}


@pytest.mark.slow
@pytest.mark.xdist_group("run-card_fraud")
def test_columns_by_their_names_are_answered_as_serialized_examples_are(finished_run: Any) -> None:
    import tensorflow as tf

    from pipelines.base import answer

    run = finished_run("card_fraud")
    examples = tf.constant(answer.sample_examples(run.paths, 50))
    columns = {name: tf.io.FixedLenFeature([], tf.float32) for name in (TIME_KEY, *V_KEYS, AMOUNT_KEY)}
    model = tf.saved_model.load(run.record.pushed)
    by_name = model.signatures["serve_rows"](**tf.io.parse_example(examples, columns))
    by_example = model.signatures["serve_examples"](examples=examples)
    for name, values in by_example.items():
        np.testing.assert_allclose(by_name[name], values, rtol=1e-5, atol=1e-6, err_msg=name)
