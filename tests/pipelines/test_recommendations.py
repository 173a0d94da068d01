"""recommendations: the sample, the split by time, factorisation and network, the rivals, the served model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from pipelines.base.errors import ProjectError

HEADER = "timestamp,visitorid,event,itemid,transactionid\n"
DAY = 86_400_000
ITEMS = [f"item{i}".encode() for i in range(24)]


def log_of(seen: list[tuple[int, list[int]]]) -> Any:
    """A log in which visitors view items in the order given, a day apart."""
    from pipelines.recommendations.events import Log

    rows = [(visitor, item, 1, day * DAY) for visitor, items in seen for day, item in enumerate(items)]
    return Log(*(np.array(column) for column in zip(*rows, strict=True)))


@pytest.fixture(scope="module")
def tastes() -> Any:
    """Pairs of 120 visitors who each view three of the twelve items of one of two tastes."""
    from pipelines.recommendations.events import pairs

    random = np.random.default_rng(3)
    seen = [(v, (random.permutation(12)[:3] + 12 * (v % 2)).tolist()) for v in range(120)]
    return pairs(log_of(seen), 120)


@pytest.fixture(scope="module")
def answer(tastes: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, np.ndarray]]:
    """`answer(signature, **inputs)` of a factorisation of `tastes`, saved and loaded again."""
    import tensorflow as tf

    from pipelines.recommendations.choosing import learn
    from pipelines.recommendations.events import popularity
    from pipelines.recommendations.project import PROJECT
    from pipelines.recommendations.recommender import Ranker, Recommender, signatures

    folder = tmp_path_factory.mktemp("recommender")
    (folder / "visitors").write_text("\n".join(f"v{v}" for v in range(120)) + "\n", encoding="utf-8")
    (folder / "items").write_bytes(b"\n".join(ITEMS) + b"\n")
    values = {**PROJECT.variants[0].parameters, "method": "factorisation", "factors": 4, "epochs": 5}
    *_, (scorer, _) = learn(tastes, 24, values)
    served = Recommender(
        Ranker(scorer, popularity(tastes, 24, 14.0)),
        str(folder / "visitors"),
        str(folder / "items"),
        ITEMS,
        tastes,
        (1.1, np.full(120, 0.2), np.full(24, 0.4)),
    )
    tf.saved_model.save(served, str(folder / "model"), signatures=signatures(served))
    loaded = tf.saved_model.load(str(folder / "model"))

    def ask(signature: str = "serving_default", **inputs: Any) -> dict[str, np.ndarray]:
        texts = {key: tf.constant(value, tf.string) for key, value in inputs.items()}
        return {key: value.numpy() for key, value in loaded.signatures[signature](**texts).items()}

    return ask


def test_the_sample_looks_like_the_real_shop() -> None:
    from pipelines.recommendations import sampling

    events = sampling.events(20_000, 5)
    assert len(events) == 20_000
    kinds = Counter(kind for _, _, kind, _, _ in events)
    assert kinds["view"] / 20_000 == pytest.approx(0.967, abs=0.01)
    assert kinds["addtocart"] > 2 * kinds["transaction"] > 0
    visits = np.array(list(Counter(visitor for _, visitor, *_ in events).values()))
    assert (visits == 1).mean() == pytest.approx(0.71, abs=0.03) and visits.max() > 20
    items = np.sort(list(Counter(item for *_, item, _ in events).values()))[::-1]
    assert items[: len(items) // 10].sum() / 20_000 > 0.4 and np.median(items) <= 6
    times = np.array([ms for ms, *_ in events])
    assert 136 < (times.max() - times.min()) / DAY <= 139
    assert (np.diff(times) < 0).any(), "the official file is in no order of time"
    for _, _, kind, _, transaction in events:
        assert (kind == "transaction") == bool(transaction)


def test_what_is_popular_in_the_sample_changes_over_the_weeks() -> None:
    from pipelines.recommendations import sampling

    events = sampling.events(20_000, 5)
    middle = np.median([ms for ms, *_ in events])
    halves = [Counter(e[3] for e in events if (e[0] < middle) == early) for early in (True, False)]
    tops = [{item for item, _ in half.most_common(50)} for half in halves]
    assert 5 < len(tops[0] & tops[1]) < 35


def test_every_evaluated_event_comes_after_every_training_event(tmp_path: Path) -> None:
    from pipelines.recommendations import data
    from pipelines.recommendations.rows import FILE, read_rows

    data.sample(tmp_path, 3_000, 1)
    rows = list(read_rows([tmp_path / FILE], {}))
    times = {s: [row["timestamp"] for split, row in rows if split == s] for s in ("train", "eval")}
    assert len(rows) == 3_000 and max(times["train"]) < min(times["eval"])
    assert times["train"] == sorted(times["train"]) and times["eval"] == sorted(times["eval"])
    assert 0.1 < len(times["eval"]) / 3_000 < 0.2


def test_tables_that_cannot_be_right_are_refused_with_file_and_line(tmp_path: Path) -> None:
    from pipelines.recommendations.rows import read_rows

    for content, words in (
        (HEADER + "1439694000000,1,view,100,\n1439694000001,1,look,100,\n", "line 3.*'look'.*view"),
        (HEADER + "yesterday,1,view,100,\n", "line 2.*milliseconds since 1970"),
        (HEADER + "1439694000,1,view,100,\n", "line 2.*seconds lack three zeros"),
        (HEADER + "1439694000000,,view,100,\n", "line 2.*two ids"),
        (HEADER, "holds no event"),
        ("time,who\n1,2\n", "expected the columns timestamp, visitorid"),
    ):
        (tmp_path / "events.csv").write_text(content, encoding="utf-8")
        with pytest.raises(ProjectError, match=words):
            list(read_rows([tmp_path / "events.csv"], {}))
    with pytest.raises(ProjectError, match=r"No events.csv among \['items.csv', 'users.csv'\]"):
        list(read_rows([tmp_path / "items.csv", tmp_path / "users.csv"], {}))


def test_times_of_twelve_digits_are_of_the_last_century_and_pass_as_the_schema_says(tmp_path: Path) -> None:
    import re

    from pipelines.recommendations import rows

    (tmp_path / "log.csv").write_text(HEADER + "874965758000,1,view,100,\n" * 2, encoding="utf-8")
    read = [row["timestamp"] for _, row in rows.read_rows([tmp_path / "log.csv"], {})]
    assert read == [874965758000] * 2
    schema = Path(rows.__file__).with_name("schema.pbtxt").read_text(encoding="utf-8")
    bounds = re.search(r"min: (\d+) max: (\d+)", schema)
    assert bounds is not None
    for bound, beyond in zip(map(int, bounds.groups()), (-1, 1), strict=True):
        assert re.fullmatch(rows.MILLISECONDS, str(bound)) and not re.fullmatch(
            rows.MILLISECONDS, str(bound + beyond)
        )


def test_fetching_says_how_to_get_what_needs_an_account(tmp_path: Path) -> None:
    from pipelines.recommendations import data

    with pytest.raises(ProjectError, match=r"kaggle datasets download retailrocket.*--data FOLDER"):
        data.fetch(tmp_path)


def test_pairs_are_distinct_latest_first_and_keep_the_strongest_event() -> None:
    from pipelines.recommendations.events import Log, latest, pairs

    log = Log(
        np.array([2, 0, 2, 2]), np.array([5, 1, 7, 5]), np.array([3, 1, 1, 1]), np.array([10, 20, 30, 40])
    )
    found = pairs(log, 4)
    assert found.visitor.tolist() == [0, 2, 2] and found.item.tolist() == [1, 5, 7]
    assert found.strength.tolist() == [1, 3, 1]
    assert found.first.tolist() == [20, 10, 30] and found.last.tolist() == [20, 40, 30]
    assert found.counts.tolist() == [1, 0, 2, 0]
    items, strengths = latest(found, np.array([2, 1, 0]), 1)
    assert items.tolist() == [[5], [-1], [1]] and strengths.tolist() == [[3.0], [0.0], [1.0]]


def test_popularity_halves_in_its_half_life_and_the_trend_sees_the_change() -> None:
    from pipelines.recommendations.events import Log, pairs, popularity, trend

    times = np.array([0, 7, 7]) * DAY
    found = pairs(Log(np.array([0, 1, 2]), np.array([0, 0, 1]), np.ones(3, int), times), 3)
    np.testing.assert_allclose(popularity(found, 2, 7.0), [1.5, 1.0])
    falling, rising = trend(found, 2, 7.0)
    assert falling < 1 < rising


def test_expected_strengths_are_shrunk_towards_the_mean() -> None:
    from pipelines.recommendations.events import SHRINK_ITEM, Log, strength_biases

    log = Log(np.array([0, 1, 2, 3]), np.array([0, 0, 1, 1]), np.array([3, 3, 1, 1]), np.arange(4))
    mean, visitor, item = strength_biases(log, 5, 3)
    assert mean == 2.0 and visitor[4] == 0 and item[2] == 0
    assert item[0] == pytest.approx(2 / (2 + SHRINK_ITEM)) and item[1] == -item[0]
    assert visitor[0] > 0 > visitor[2]


@pytest.mark.parametrize("count", [2, 9])
def test_factors_solve_the_normal_equations_with_few_items_and_with_many(count: int) -> None:
    from pipelines.recommendations import factors

    random = np.random.default_rng(0)
    items = random.normal(0, 1, (12, 5)).astype(np.float32)
    known = np.zeros((4, 12), np.float32)
    for row in known[:3]:
        row[random.permutation(12)[:count]] = random.uniform(1, 9, count)
    found = factors.solve(sparse.csr_matrix(known), items, 0.7)
    for row, mine in zip(known, found, strict=True):
        left = items.T @ np.diag(1 + row) @ items + 0.7 * np.eye(5)
        np.testing.assert_allclose(
            mine, np.linalg.solve(left, items.T @ ((1 + row) * (row > 0))), rtol=2e-3, atol=1e-5
        )


def test_the_loss_of_the_factorisation_is_its_definition_and_never_rises(tastes: Any) -> None:
    from pipelines.recommendations import factors

    known = np.array([[2.0, 0.0, 5.0], [0.0, 1.0, 0.0]], np.float32)
    visitors, items = np.array([[0.5, 1.0], [0.2, 0.1]]), np.array([[1.0, 0.3], [0.0, 0.4], [0.6, 0.6]])
    error = ((known > 0) - visitors @ items.T) ** 2 * (1 + known)
    whole = error.sum() + 0.3 * ((visitors**2).sum() + (items**2).sum())
    assert factors.loss(sparse.csr_matrix(known), visitors, items, 0.3) == pytest.approx(whole / 3, rel=1e-5)
    values = {"confidence": 20.0, "regularisation": 1.0, "factors": 4, "factor_epochs": 6}
    losses = [loss for _, loss in factors.alternate(tastes, 24, values, 1)]
    assert np.all(np.diff(losses) < 1e-4) and losses[-1] < 0.9 * losses[0]


def test_the_served_fold_in_is_the_trainers_solution() -> None:
    import tensorflow as tf

    from pipelines.recommendations import factors
    from pipelines.recommendations.recommender import FactorScorer

    random = np.random.default_rng(1)
    items, lift = random.normal(0, 1, (9, 4)).astype(np.float32), random.uniform(0.5, 2, 9)
    scorer = FactorScorer(items, 2.0, 10.0, lift)
    scores = scorer(
        tf.constant([[3, -1, 5], [-1, 8, -1]], tf.int64), tf.constant([[1.0, 0, 3], [9, 2, 9]])
    ).numpy()
    known = sparse.csr_matrix(([10.0, 30.0, 20.0], ([0, 0, 1], [3, 5, 8])), (2, 9), dtype=np.float32)
    visitors = factors.solve(known, items, 2.0)
    np.testing.assert_allclose(scores, visitors @ items.T * lift, rtol=1e-3, atol=1e-4)


def test_ndcg_and_hit_rate_are_those_of_a_list_counted_by_hand() -> None:
    from pipelines.recommendations import ranking

    targets = sparse.csr_matrix(np.array([[0, 1, 1, 1], [1, 0, 0, 0], [1, 0, 0, 0]]))
    hit = ranking.hits(np.array([[2, 0, 3], [1, 2, 3], [1, -1, 0]]), targets)
    assert hit.tolist() == [[True, False, True], [False] * 3, [False, False, True]]
    best = 1 + 1 / np.log2(3) + 1 / np.log2(4)
    np.testing.assert_allclose(ranking.ndcg(hit, np.array([3, 1, 1]), 3), [(1 + 0.5) / best, 0, 0.5])
    assert ranking.hit_rate(hit, 2).tolist() == [1, 0, 0] and ranking.hit_rate(hit, 3).tolist() == [1, 0, 1]


def test_neighbours_are_the_cosine_of_who_saw_them_whatever_the_slice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pipelines.recommendations import ranking

    seen = sparse.csr_matrix((np.random.default_rng(2).random((40, 11)) < 0.3).astype(np.float32))
    dense = seen.toarray()
    together, sizes = dense.T @ dense, np.sqrt(dense.sum(axis=0))
    for shrinkage in (0.0, 3.0):
        expected = together / (np.outer(sizes, sizes) + shrinkage) * (1 - np.eye(11))
        np.testing.assert_allclose(ranking.neighbours(seen, shrinkage).toarray(), expected, rtol=1e-6)
        monkeypatch.setattr(ranking, "SLICE", 4)
        np.testing.assert_allclose(ranking.neighbours(seen, shrinkage).toarray(), expected, rtol=1e-6)
    monkeypatch.setattr(ranking, "NEIGHBOURS", 2)
    kept = ranking.neighbours(seen, 3.0).toarray()
    np.testing.assert_allclose(np.sort(kept, axis=1)[:, -2:], np.sort(expected, axis=1)[:, -2:], rtol=1e-6)
    assert (kept > 0).sum(axis=1).max() == 2


def test_neighbours_leave_the_items_seen_as_they_are_also_of_a_visitor_with_hundreds() -> None:
    from pipelines.recommendations import ranking

    dense = np.zeros((3, 420), np.float32)
    dense[0, :400] = dense[1, 7] = dense[2, :3] = 1
    seen = sparse.csr_matrix(dense)
    together = ranking.neighbours(seen, 1.0).toarray()
    np.testing.assert_array_equal(seen.toarray(), dense)
    # Of the robot's 400 items the first 300 count: 0 and 299 were seen together, 0 and 300 not.
    assert together[299].any() and not together[300:].any() and not together[:, 300:].any()


def test_ease_is_the_regression_of_each_item_on_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.recommendations import ranking

    seen = sparse.csr_matrix((np.random.default_rng(4).random((60, 9)) < 0.4).astype(np.float32))
    dense, penalty = seen.toarray().astype(float), 7.0
    expected = np.zeros((9, 9))
    for item in range(9):
        others = [i for i in range(9) if i != item]
        x = dense[:, others]
        left = x.T @ x + penalty * np.eye(8)
        expected[others, item] = np.linalg.solve(left, x.T @ dense[:, item])
    np.testing.assert_allclose(ranking.ease(seen, penalty).toarray(), expected, atol=1e-5)
    monkeypatch.setattr(ranking, "EASE_WEIGHTS", 3)
    kept = ranking.ease(seen, penalty).toarray()
    assert ((kept != 0).sum(axis=1) == 3).all()
    np.testing.assert_allclose(
        np.abs(kept).sum(axis=1), np.sort(np.abs(expected), axis=1)[:, -3:].sum(axis=1), atol=1e-5
    )
    monkeypatch.setattr(ranking, "EASE_ITEMS", 4)
    popular = set(np.argsort(-dense.sum(axis=0), kind="stable")[:4])
    assert set(ranking.ease(seen, penalty).indices) <= popular


def test_served_similarities_are_the_sum_over_items_seen_and_ties_go_to_what_is_popular() -> None:
    import tensorflow as tf

    from pipelines.recommendations.recommender import TIE, SimilarityScorer

    weights = sparse.csr_matrix(
        np.array([[0, 0.5, 0, -0.25], [0.25, 0, 0, 0], [0, 0, 0, 0], [1.0, 0, 0, 0]], np.float32)
    )
    popular = np.array([4.0, 3.0, 2.0, 1.0])
    scores = SimilarityScorer(weights, popular)(
        tf.constant([[0, -1, 3], [2, -1, -1]], tf.int64), tf.ones([2, 3])
    ).numpy()
    np.testing.assert_allclose(
        scores, np.array([[1, 0.5, 0, -0.25], [0, 0, 0, 0]]) + TIE * popular / 4, atol=1e-7
    )
    assert np.argsort(-scores[1]).tolist() == [0, 1, 2, 3]


def test_the_end_of_the_training_period_chooses_low_confidence_for_a_dense_log_of_films() -> None:
    from pipelines.recommendations import choosing
    from pipelines.recommendations.project import PROJECT

    parameters = {**PROJECT.variant("best").parameters, "variant": "best", "factors": 8, "epochs": 4}
    trials = choosing.choose(films(), 120, 90, parameters)
    scores = [trial.best["ndcg_at_10"] for trial in trials]
    assert scores == sorted(scores, reverse=True) and len(trials) == 6
    factorisations = [t for t in trials if t.parameters["method"] == "factorisation"]
    assert factorisations[0].parameters["confidence"] < PROJECT.variant("best").parameters["confidence"]
    assert [len(t.curve) for t in factorisations] == [4, 3, 3, 3]
    assert {len(t.curve) for t in trials if t.parameters["method"] == "ease"} == {1}


def films() -> Any:
    """A dense log: 120 people who saw 20 to 60 of 90 films over a year, each drawn by their taste and by fame."""
    from pipelines.recommendations.events import Log

    random = np.random.default_rng(8)
    fame = random.normal(0, 1, 90)
    parts = []
    for person in range(120):
        taste = np.where(np.arange(90) % 6 == person % 6, 2.5, 0.0) + fame
        seen = np.argsort(-(taste + random.gumbel(size=90)))[: random.integers(20, 60)]
        days = np.sort(random.uniform(0, 365, len(seen)))
        parts.append(
            np.c_[np.full(len(seen), person), random.permutation(seen), np.ones(len(seen)), days * DAY]
        )
    rows = np.concatenate(parts).astype(np.int64)
    return Log(*rows[np.argsort(rows[:, 3])].T)


def test_items_beyond_those_that_score_are_not_offered_again(tmp_path: Path) -> None:
    import tensorflow as tf

    from pipelines.recommendations.events import pairs
    from pipelines.recommendations.recommender import HISTORY, Ranker, Recommender

    seen = pairs(log_of([(0, list(range(HISTORY + 60))), (1, [3])]), 2)
    items = HISTORY + 65
    names = [f"item{number}".encode() for number in range(items)]
    (tmp_path / "visitors").write_text("v0\nv1\n", encoding="utf-8")
    (tmp_path / "items").write_bytes(b"\n".join(names) + b"\n")
    # Whatever was seen, the oldest items score best.
    ranker = Ranker(
        lambda seen, strength: tf.zeros_like(seen[:, :1], tf.float32) - np.arange(items), np.ones(items)
    )
    served = Recommender(
        ranker,
        str(tmp_path / "visitors"),
        str(tmp_path / "items"),
        names,
        seen,
        (1.0, np.zeros(2), np.zeros(items)),
    )
    answered = served.recommend(tf.constant(["v0", "v1"]), tf.fill([2, 0], ""))
    robot, other = answered["items"].numpy()
    assert set(robot[:5]) == set(names[-5:]) and set(robot[5:]) == {b""}
    assert other[:3].tolist() == [b"item0", b"item1", b"item2"] and b"item3" not in other
    assert answered["known"].numpy().tolist() == [HISTORY, 1]


def test_rivals_name_nothing_that_was_seen_and_popular_items_fill_the_list() -> None:
    from pipelines.recommendations import ranking

    popular = np.array([9.0, 8.0, 7.0, 6.0, 5.0])
    seen = sparse.csr_matrix(np.array([[1, 0, 1, 0, 0], [0, 0, 0, 0, 0]], np.float32))
    assert ranking.most_popular(popular, seen, 3).tolist() == [[1, 3, 4], [0, 1, 2]]
    assert ranking.most_popular(popular, seen, 4)[0].tolist() == [1, 3, 4, -1]
    similar = sparse.csr_matrix(np.array([[0, 0, 0.9, 0, 0.5]] + [[0] * 5] * 4))
    assert ranking.by_neighbours(similar, seen, popular, 3).tolist() == [[4, 1, 3], [0, 1, 2]]


def test_tasks_hold_what_is_new_to_the_visitor_and_nothing_that_is_told() -> None:
    from pipelines.recommendations.events import Log, pairs
    from pipelines.recommendations.tasks import NOTHING_KNOWN, make_tasks

    def log(*rows: tuple[int, int, int]) -> Log:
        visitor, item, time = np.array(rows).T
        return Log(visitor, item, np.ones(len(rows), int), time)

    # Visitor 0 returns; 1 returns to what it saw only; 2 is new with three items; 3 is new with one.
    train = log((0, 0, 1), (0, 1, 2), (1, 1, 3))
    later = log((0, 1, 11), (0, 2, 12), (1, 1, 13), (2, 3, 15), (2, 0, 14), (2, 2, 16), (3, 2, 17))
    returning, new, started = make_tasks(pairs(train, 4), later, 4)
    assert returning.visitors.tolist() == [0] and returning.targets.indices.tolist() == [2]
    assert returning.history.tolist() == ["2 to 4 items"] and returning.told.tolist() == [-1]
    assert new.visitors.tolist() == [2, 3] and new.counts.tolist() == [3, 1]
    assert new.history.tolist() == [NOTHING_KNOWN] * 2
    assert started.visitors.tolist() == [2] and started.told.tolist() == [0]
    assert sorted(started.targets.indices.tolist()) == [2, 3] and started.seen.indices.tolist() == [0]
    some = make_tasks(pairs(train, 4), log((0, 2, 12), (3, 2, 17)), 4)
    assert [task.kind for task in some] == ["returning", "new"]
    with pytest.raises(ValueError, match="nobody of whom an item is known sees another"):
        make_tasks(pairs(train, 4), log((3, 2, 17)), 4)


def test_scores_that_are_no_numbers_are_refused_with_the_number_of_visitors() -> None:
    import tensorflow as tf

    from pipelines.recommendations import evaluate
    from pipelines.recommendations.events import Log
    from pipelines.recommendations.tasks import Tasks

    names = np.array([b"a", b"b"], object)
    nothing = Log(*(np.zeros(0, int) for _ in range(4)))
    seen = sparse.csr_matrix((5, 2), dtype=np.float32)
    task = Tasks("new", np.zeros(5, int), np.full(5, -1), seen, seen, 1.0)

    def answering(*scores: float) -> Any:
        items = tf.constant([[b"a", b""]] * 5)
        return lambda **inputs: {
            "items": items,
            "scores": tf.constant([[score, -np.inf] for score in scores]),
        }

    events = evaluate.Events(nothing, nothing, names, names, 2)
    assert evaluate.ask(answering(1.0, 2.0, 3.0, 4.0, 5.0), events, task).tolist() == [[0, -1]] * 5
    with pytest.raises(ProjectError, match="predictions are not finite: 2 of 5 rows"):
        evaluate.ask(answering(1.0, np.nan, 3.0, np.nan, 5.0), events, task)


def test_a_known_visitor_is_offered_more_of_its_taste_and_nothing_seen(answer: Any, tastes: Any) -> None:
    answered = answer(visitor=["v0", "v1"], items_seen=[[], []])
    for row in (0, 1):
        seen = {ITEMS[i] for i in tastes.item[tastes.visitor == row]}
        offered = answered["items"][row].tolist()
        assert set(offered[:9]) == {*ITEMS[12 * row : 12 * row + 12]} - seen
        assert not seen & set(offered)
    assert answered["known"].tolist() == [3, 3]
    assert np.all(np.diff(answered["scores"]) <= 0)


def test_a_visitor_is_who_has_seen_the_same_items_known_or_not(answer: Any, tastes: Any) -> None:
    items = [ITEMS[i] for i in tastes.item[tastes.visitor == 7]]
    stranger = answer(visitor=["nobody"], items_seen=[items])
    known = answer("for_visitor", visitor=["v7"])
    twice = answer(visitor=["v7"], items_seen=[items + items])
    for other in (known, twice):
        np.testing.assert_array_equal(stranger["items"], other["items"])
        np.testing.assert_allclose(stranger["scores"], other["scores"], rtol=1e-4)
    assert twice["known"].tolist() == [3]


def test_ids_that_training_did_not_know_are_passed_over(answer: Any) -> None:
    plain = answer(visitor=["v3"], items_seen=[["item1"]])
    noisy = answer(visitor=["v3"], items_seen=[["", "no such item", "item1", "\xff"]])
    np.testing.assert_array_equal(plain["items"], noisy["items"])
    assert plain["known"] == noisy["known"]


def test_of_whom_nothing_is_known_popular_items_are_offered(answer: Any, tastes: Any) -> None:
    from pipelines.recommendations.events import popularity

    answered = answer(visitor=["nobody", "v3"], items_seen=[["?"], ["item1"]])
    popular = popularity(tastes, 24, 14.0)
    offered = [int(name.decode().removeprefix("item")) for name in answered["items"][0]]
    assert answered["known"][0] == 0
    np.testing.assert_allclose(answered["scores"][0], np.sort(popular)[::-1][: len(offered)], rtol=1e-6)
    np.testing.assert_allclose(popular[offered], answered["scores"][0], rtol=1e-6)


def test_a_visitor_who_has_seen_nearly_all_is_offered_the_rest_and_then_nothing(answer: Any) -> None:
    answered = answer(visitor=["nobody"], items_seen=[ITEMS[:22]])
    assert set(answered["items"][0, :2]) == {*ITEMS[22:]} and set(answered["items"][0, 2:]) == {b""}


def test_items_seen_are_optional_in_examples(answer: Any) -> None:
    import tensorflow as tf

    def example(**texts: list[bytes]) -> bytes:
        features = {k: tf.train.Feature(bytes_list=tf.train.BytesList(value=v)) for k, v in texts.items()}
        return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()

    rows = [example(visitorid=[b"v3"]), example(visitorid=[b"v3"], items_seen=[b"item1", b"item2"])]
    both = answer("serve_examples", examples=rows)
    np.testing.assert_array_equal(both["items"][0], answer("for_visitor", visitor=["v3"])["items"][0])
    told = answer(visitor=["v3"], items_seen=[["item1", "item2"]])
    np.testing.assert_array_equal(both["items"][1], told["items"][0])


def test_the_expected_strength_adds_what_is_known(answer: Any) -> None:
    answered = answer("strength", visitor=["v1", "nobody", "v1"], item=["item1", "item1", "?"])
    np.testing.assert_allclose(answered["strength"], [1.7, 1.5, 1.3], rtol=1e-5)


def test_a_lesson_never_holds_its_own_answer() -> None:
    from pipelines.recommendations import network
    from pipelines.recommendations.events import pairs

    found = pairs(log_of([(0, [4]), (1, [2, 5]), (2, list(range(30)))]), 3)
    context, target = network.lessons(found)
    assert context.shape == (32, network.CONTEXT)
    assert [(c[c >= 0].tolist(), t) for c, t in zip(context[:2], target[:2], strict=True)] == [
        ([2], 5),
        ([5], 2),
    ]
    for others, own in zip(context[2:], target[2:], strict=True):
        assert own not in others
        assert others.tolist() == [i for i in range(29, -1, -1) if i != own][: network.CONTEXT]


@pytest.mark.slow
def test_the_network_learns_tastes_and_passes_over_gaps(tastes: Any) -> None:
    import tensorflow as tf

    from pipelines.recommendations import choosing
    from pipelines.recommendations.project import PROJECT

    values = {**PROJECT.variant("neural").parameters, "method": "neural", "factors": 4, "batch_size": 32}
    losses = []
    for scorer, loss in choosing.learn(tastes, 24, {**values, "negatives": 16, "epochs": 8}):  # noqa: B007
        losses.append(loss)
    assert losses[-1] < losses[0]
    seen = tf.constant([[1, 2, -1], [-1, 1, 2], [13, 14, 15]], tf.int64)
    scores = scorer(seen, tf.ones([3, 3])).numpy()
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-5)
    assert scores[0, 3:12].min() > scores[0, 12:].max()
    assert scores[2, 16:].min() > scores[2, :12].max()


@pytest.mark.slow
@pytest.mark.xdist_group("run-recommendations")
def test_a_served_model_answers_known_and_new_visitors_over_grpc(
    finished_run: Callable[[str], Any], tmp_path: Path
) -> None:
    from pipelines.base import answer as served_model
    from serving.client import Client

    run = finished_run("recommendations")
    assert run.code == 0 and run.record.blessed, run.output
    process, addresses = served_model.start_server(
        "recommendations", Path(run.record.pushed).parent, tmp_path / "serving.log"
    )
    try:
        with Client(addresses["grpc"]) as client:

            def ask(visitor: str, *seen: str) -> list[str]:
                inputs = {"visitor": np.array([visitor], object), "items_seen": np.array([seen], object)}
                (items,) = client.predict("recommendations", inputs)["items"]
                return [item.decode("utf-8") for item in items]

            popular = ask("never seen", "no such item")
            told = ask("never seen", popular[0])
            more = ask("never seen", popular[0], told[0])
    finally:
        process.terminate()
        process.wait(timeout=30)
    assert len(set(popular)) == 20 and "" not in popular
    assert popular[0] not in told and told != popular[1:] + told[-1:]
    assert len(set(told) & set(popular)) < 10, "one item seen should change most of the list"
    assert not {popular[0], told[0]} & set(more)
