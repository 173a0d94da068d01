"""pacman: the game and its starts, plans and rows, the replay, a training that is killed, the served agent, its GIF."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipelines.base.errors import ProjectError
from pipelines.base.paths import CHECKOUT
from pipelines.pacman import film, plan
from pipelines.pacman.game import ACTIONS, FRAME_SKIP, SHAPES, STICKY, Game, Start, shrunk
from pipelines.pacman.project import PROJECT
from pipelines.pacman.replay import CUT, LOST, ON, Replay, SumTree

TINY: dict[str, Any] = {
    **PROJECT.variants[0].parameters,
    "variant": "mlp",
    "profile": "quick",
    "games": 2,
    "steps": 192,
    "replay": 256,
    "hidden": 8,
    "batch_size": 8,
    "checkpoint_steps": 64,
    "looks": 1,
}


@pytest.fixture(scope="module")
def game() -> Game:
    return Game()


def played(game: Game, start: Start, steps: int, seed: int = 0) -> list[tuple[Any, ...]]:
    """What `steps` drawn actions lead to."""
    random = np.random.default_rng(seed)
    game.start(start)
    return [
        (
            *game.step(int(random.integers(len(ACTIONS)))),
            game.look("ram").tobytes(),
            game.look("frames").tobytes(),
        )
        for _ in range(steps)
    ]


def test_a_start_is_the_same_episode_every_time_and_another_seed_or_wait_another_one(game: Game) -> None:
    first = played(game, Start(5, 3), 60)
    assert played(game, Start(5, 3), 60) == first
    assert played(game, Start(6, 3), 60) != first and played(game, Start(5, 4), 60) != first


def test_an_episode_goes_on_in_another_console_as_it_would_have_in_the_first(game: Game) -> None:
    played(game, Start(9, 16), 40)
    other = Game()
    other.restore(game.state())
    for action in range(40):
        assert game.step(action % 9) == other.step(action % 9)
        assert all((game.look(kind) == other.look(kind)).all() for kind in SHAPES)


def test_a_quarter_of_the_frames_repeat_the_action_before(monkeypatch: pytest.MonkeyPatch) -> None:
    game = Game()
    heard: list[int] = []

    class Console:
        def __init__(self, ale: Any) -> None:
            self.ale = ale

        def __getattr__(self, name: str) -> Any:
            return getattr(self.ale, name)

        def act(self, action: Any) -> float:
            heard.append(action.value)
            return float(self.ale.act(action))

    game.start(Start(1, 0))
    monkeypatch.setattr(game, "_ale", Console(game._ale))
    asked: list[int] = []
    for step in range(500):
        asked += [1 + step % 2] * FRAME_SKIP
        if game.step(1 + step % 2).over:
            game.start(Start(step, 0))
            # The start's own frame.
            heard.pop()
    late = np.array(heard) != np.array([game._actions[number].value for number in asked])
    # The first frame of a step is late by chance STICKY, the second by its square, and so on.
    assert late[::FRAME_SKIP].mean() == pytest.approx(STICKY, abs=0.06)
    assert late[1::FRAME_SKIP].mean() == pytest.approx(STICKY**2, abs=0.04)


def test_a_picture_shows_the_ghosts_that_the_console_draws_in_every_second_frame_only() -> None:
    game = Game(colour=True)
    random = np.random.default_rng(0)
    game.start(Start(5, 3))
    alone = 0
    for _ in range(20):
        game.step(int(random.integers(len(ACTIONS))))
        grey = game.picture() @ np.array([0.2989, 0.587, 0.114])
        seen = shrunk(grey.round().astype(np.uint8)).astype(int)
        assert np.abs(seen - game.look("frames")).max() <= 1, "what the networks see"
        alone += bool((game.picture() != game._ale.getScreenRGB()).any())
    assert alone > 10


def test_a_film_tells_points_and_actions_of_its_pictures_and_ends_with_the_end(game: Game) -> None:
    random = np.random.default_rng(0)

    def ask(seen: Any) -> Any:
        assert seen["ram"].shape == (1, 128)
        return {"action": random.integers(0, 9, 1), "values": random.normal(size=(1, 9))}

    shot = film.record(ask, "ram", 1, Start(5, 3), most_steps=7)
    assert shot.shown == [0, 2, 4, 6, 7] and len(shot.pictures) == 5
    points = [0.0, *shot.points]
    assert [shot.points_before(step) for step in shot.shown] == [points[step] for step in shot.shown]
    assert shot.score == points[-1]


def test_a_screen_becomes_smaller_by_the_mean_over_areas() -> None:
    from pipelines.pacman.game import shrunk

    screen = np.random.default_rng(0).integers(0, 256, (210, 160)).astype(np.uint8)
    small = shrunk(screen)
    assert small.shape == SHAPES["frames"] and small.dtype == np.uint8
    assert not small[:, [0, 1, -1, -2]].any()
    # Each of the 84 rows is two and a half of the screen's, each column two.
    tenths = np.repeat(np.repeat(screen.astype(float), 2, axis=0).reshape(84, 5, 160), 1, axis=0).mean(axis=1)
    wanted = tenths.reshape(84, 80, 2).mean(axis=2)
    assert np.abs(small[:, 2:-2] - wanted).max() <= 0.51


def test_a_missing_rom_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import ale_py.roms

    def none(name: str) -> None:
        raise OSError(f"no ROM {name}")

    monkeypatch.setattr(ale_py.roms, "get_rom_path", none)
    monkeypatch.setattr("ale_py.env.roms.get_rom_path", none)
    with pytest.raises(ProjectError, match=r"MsPacman.*cannot be started.*ms_pacman\.bin.*install it anew"):
        Game()


def test_missing_packages_are_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(ProjectError, match=r"ale_py.*requirements\.lock"):
        Game()


def test_an_actor_that_cannot_play_says_why_to_the_one_who_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.pacman import actors

    program = "import sys; sys.modules['gymnasium'] = None; " + actors.PROGRAM
    monkeypatch.setattr(actors, "PROGRAM", program)
    with (
        actors.Fleet(2, ["ram"]) as fleet,
        pytest.raises(ProjectError, match=r"gymnasium.*requirements\.lock"),
    ):
        fleet.begin({0: Start(0, 0)})


def test_nobody_is_judged_on_a_start_that_was_trained_on(tmp_path: Path) -> None:
    planned = plan.made(200, 3)
    plan.write(tmp_path / plan.FILE, planned)
    assert plan.read(tmp_path / plan.FILE) == planned
    of = {split: [one.start for one in planned if one.split == split] for split in plan.SPLITS}
    assert [len(starts) for starts in of.values()] == [80, 20, 100]
    trained = [*of["train"], *(plan.training_start(s, n) for s in range(16) for n in range(50))]
    for field in ("seed", "noops"):
        met = {getattr(start, field) for start in trained}
        assert not met & {getattr(start, field) for start in (*of["tune"], *of["eval"])}
    assert not {one.start.seed for one in planned} & {one.start.seed for one in plan.made(200, 4)}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("train,1,20,random", "line 2: noops is 20; expected 0 to 14 in train"),
        ("eval,1,3,random", "line 2: noops is 3; expected 15 to 29 in eval"),
        ("test,1,3,random", "line 2: split is 'test'"),
        ("train,one,3,random", "line 2.*whole numbers"),
        ("train,1,3,clever", "line 2: policy is 'clever'; expected random"),
        ("train,7,3,random\neval,7,20,random", "seed 7 is in train and in eval"),
    ],
)
def test_a_plan_that_cannot_be_meant_is_refused_with_its_line(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / plan.FILE).write_text(f"split,seed,noops,policy\n{line}\n", encoding="utf-8")
    with pytest.raises(ProjectError, match=words):
        plan.read(tmp_path / plan.FILE)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, dict[str, Any]]]:
    """Four played episodes: two to judge by, one to watch, one to learn from."""
    from pipelines.pacman.rows import read_rows

    folder = tmp_path_factory.mktemp("plan")
    plan.write(folder / plan.FILE, plan.made(4, 1))
    return list(read_rows([folder / plan.FILE], {}))


def test_a_row_is_what_its_actions_lead_to_from_its_start(
    rows: list[tuple[str, dict[str, Any]]], game: Game
) -> None:
    assert [split for split, _ in rows] == ["train", "tune", "eval", "eval"]
    _, row = rows[0]
    game.start(Start(row["seed"], row["noops"]))
    looks: dict[str, list[bytes]] = {kind: [] for kind in SHAPES}
    for action, reward, lost in zip(row["actions"], row["rewards"], row["lost"], strict=True):
        for kind, seen in looks.items():
            seen.append(game.look(kind).tobytes())
        step = game.step(action)
        assert (step.reward, step.lost) == (reward, bool(lost))
    assert step.over and row["score"] == sum(row["rewards"]) and row["steps"] == len(row["actions"])
    for kind, seen in looks.items():
        assert zlib.decompress(row[kind]) == b"".join(seen)
    assert len(row["frames"]) < 0.05 * row["steps"] * np.prod(SHAPES["frames"])


def test_an_episode_does_not_depend_on_those_beside_it(rows: list[tuple[str, dict[str, Any]]]) -> None:
    from pipelines.pacman.playing import play

    starts = [Start(row["seed"], row["noops"]) for _, row in rows[2:]]

    def again(seen: Any, numbers: np.ndarray) -> np.ndarray:
        done = [counts.update({n: counts.get(n, -1) + 1}) or counts[n] for n in numbers.tolist()]
        return np.array([rows[2 + n][1]["actions"][step] for n, step in zip(numbers, done, strict=True)])

    counts: dict[int, int] = {}
    for episode, (_, row) in zip(play(starts, again, ["ram"]), rows[2:], strict=True):
        assert episode.actions == row["actions"] and episode.score == row["score"]


def test_a_folder_without_a_plan_is_refused(tmp_path: Path) -> None:
    from pipelines.pacman.rows import read_rows

    with pytest.raises(
        ProjectError, match=r"No episodes in \['other.csv', 'seeds.csv'\].*viaduct data pacman"
    ):
        list(read_rows([tmp_path / "other.csv", tmp_path / "seeds.csv"], {}))


def test_one_file_is_a_plan_whatever_its_name_and_another_table_is_refused_by_its_columns(
    tmp_path: Path,
) -> None:
    from pipelines.pacman.rows import read_rows

    named = tmp_path / "mine.csv"
    plan.write(named, plan.made(4, 1))
    split, _ = next(read_rows([named], {}))
    assert split in plan.SPLITS
    named.write_text("time,amount\n1,2\n")
    with pytest.raises(ProjectError, match=r"mine.csv: the columns are \['time', 'amount'\]; expected split"):
        list(read_rows([named], {}))


def test_the_sum_tree_finds_leaves_in_proportion_to_their_weights() -> None:
    tree, random = SumTree(11), np.random.default_rng(0)
    weights = np.array([0, 3, 0, 1, 5, 0, 0, 2, 0, 0.5, 4])
    tree[np.arange(11)] = weights
    tree[np.array([4, 10])] = np.array([1.0, 8.0])
    weights[[4, 10]] = 1, 8
    assert tree.total == pytest.approx(weights.sum()) and (tree[np.arange(11)] == weights).all()
    found = tree.find(random.random(20_000) * tree.total)
    np.testing.assert_allclose(np.bincount(found, minlength=11) / 20_000, weights / weights.sum(), atol=0.02)


def small_replay(**changes: Any) -> Replay:
    measures = {"depth": 3, "returns": 2, "discount": 0.5, **changes}
    return Replay(8, 1, (1,), **measures)


def step_of(replay: Replay, look: int, reward: float, end: int = ON, begins: bool = False) -> None:
    replay.add(
        np.array([[look]]), np.array([look % 9]), np.array([reward]), np.array([end]), np.array([begins])
    )


def transitions(replay: Replay) -> dict[int, tuple[float, float, list[int], list[int]]]:
    """By the newest look: return, discount, looks before and after, of all that can be drawn."""
    drawn = replay.draw(400, np.random.default_rng(0))
    found = {}
    for row in range(400):
        seen = drawn.seen[row, :, 0].tolist()
        found[seen[-1]] = (
            float(drawn.returns[row]),
            float(drawn.discounts[row]),
            seen,
            drawn.after[row, :, 0].tolist(),
        )
    return found


def test_returns_of_several_steps_end_with_a_life_and_are_unknown_at_a_cut() -> None:
    replay = small_replay()
    for look, reward, end in (
        (1, 1, ON),
        (2, 2, LOST),
        (3, 4, ON),
        (4, 8, CUT),
        (5, 16, ON),
        (6, 32, ON),
        (7, 0, ON),
    ):
        step_of(replay, look, reward, end, begins=look in (1, 5))
    found = transitions(replay)
    # 3 and 4 reach the cut before their returns are known; 6 and 7 are too young.
    assert set(found) == {1, 2, 5}
    assert found[1] == (2.0, 0.0, [1, 1, 1], [1, 2, 3])
    assert found[2] == (2.0, 0.0, [1, 1, 2], [2, 3, 4])
    assert found[5] == (32.0, 0.25, [5, 5, 5], [5, 6, 7])


def test_a_full_replay_forgets_the_oldest_and_its_memory_is_bounded() -> None:
    replay = small_replay()
    before = replay.memory
    for look in range(100):
        step_of(replay, look, 0.0, begins=look == 0)
        if look >= 8:
            # The oldest two steps have lost looks before them, the newest two wait for their returns.
            assert set(transitions(replay)) == set(range(look - 5, look - 1))
    assert replay.memory == before and len(replay) == 8


def test_what_was_wrong_is_drawn_more_often_and_counts_less() -> None:
    replay = small_replay(alpha=1.0, beta=1.0)
    for look in range(7):
        step_of(replay, look, 0.0, begins=look == 0)
    replay.update(np.arange(5), np.array([0.999, 0.999, 0.999, 0.999, 5.999]))
    drawn = replay.draw(1_000, np.random.default_rng(1))
    often = np.bincount(drawn.places, minlength=5)
    assert often[4] == pytest.approx(600, abs=10)
    assert set(np.round(drawn.weights[drawn.places == 4], 5)) == {np.float32(0.16667)}


def test_a_restored_replay_draws_what_the_first_would_have() -> None:
    replay, other = small_replay(), small_replay()
    for look in range(21):
        step_of(replay, look, look, begins=look % 6 == 0)
    replay.update(np.array([3, 4]), np.array([7.0, 0.1]))
    other.restore({name: np.array(array) for name, array in replay.state().items()})
    for one, same in zip(
        replay.draw(50, np.random.default_rng(2)), other.draw(50, np.random.default_rng(2)), strict=True
    ):
        np.testing.assert_array_equal(one, same)


def test_episodes_fill_the_streams_without_a_return_across_a_seam() -> None:
    from pipelines.pacman.learning import fill

    replay = Replay(40, 2, (1,), depth=1, returns=3, discount=0.9)

    def episode(first: int, steps: int) -> dict[str, np.ndarray]:
        lost = np.zeros(steps, np.int64)
        lost[-1] = 1
        looks = np.arange(first, first + steps)[:, None]
        return {"looks": looks, "actions": lost, "rewards": np.full(steps, 10.0), "lost": lost}

    fill(replay, iter([episode(0, 15), episode(100, 9), episode(200, 6)]))
    assert len(replay) == 30
    drawn = replay.draw(500, np.random.default_rng(0))
    for look, discount, total, after in zip(
        drawn.seen[:, 0, 0], drawn.discounts, drawn.returns, drawn.after[:, 0, 0], strict=True
    ):
        if discount:
            assert after == look + 3 and total == pytest.approx(1 + 0.9 + 0.81)
        else:
            assert look in (12, 13, 14, 106, 107, 108, 203, 204, 205)
    # The first stream ends with an episode; the second is not continued by what is played later.
    step_of_both = np.array([[250], [251]])
    for _ in range(4):
        replay.add(step_of_both, np.zeros(2), np.zeros(2), np.zeros(2), np.ones(2, bool))
    assert set(replay.draw(500, np.random.default_rng(1)).seen.ravel()) >= {250, 251}


@pytest.fixture(scope="module")
def agent() -> Any:
    from pipelines.pacman.agent import Agent

    return Agent("mlp", TINY)


def batch_of(agent: Any, rows: int, seed: int = 0) -> Any:
    from pipelines.pacman.replay import Drawn

    random = np.random.default_rng(seed)
    looks = random.integers(0, 256, (2, rows, 1, 128)).astype(np.uint8)
    return Drawn(
        np.arange(rows),
        looks[0],
        random.integers(0, 9, rows).astype(np.int32),
        random.random(rows).astype(np.float32),
        np.where(np.arange(rows) % 3, 0.9, 0).astype(np.float32),
        looks[1],
        np.ones(rows, np.float32),
    )


def test_the_target_is_double_q_learnings(agent: Any) -> None:
    batch = batch_of(agent, 8)
    online, slow = agent.online(batch.after).numpy(), agent.model(batch.after).numpy()
    value = agent.online(batch.seen).numpy()[np.arange(8), batch.actions]
    worth = slow[np.arange(8), online.argmax(axis=1)]
    errors, _ = agent.learn([batch])
    np.testing.assert_allclose(errors[0], batch.returns + batch.discounts * worth - value, atol=1e-4)


def test_the_network_learns_a_batch_and_the_other_follows_slowly(agent: Any) -> None:
    batch = batch_of(agent, 8)._replace(discounts=np.zeros(8, np.float32))
    before = [weight.copy() for weight in agent.model.get_weights()]
    first = np.abs(agent.learn([batch] * 4)[0][0]).mean()
    for _ in range(60):
        errors, _ = agent.learn([batch] * 4)
    assert np.abs(errors[-1]).mean() < 0.3 * first
    fast, slow = agent.online.get_weights(), agent.model.get_weights()
    moved = [np.abs(a - b).sum() for a, b in zip(slow, before, strict=True)]
    behind = [np.abs(a - b).sum() for a, b in zip(fast, slow, strict=True)]
    assert sum(moved) > sum(behind) > 0


def test_ghosts_are_told_as_seen_from_ms_pac_man() -> None:
    from pipelines.pacman.network import NEAR, described

    memory = np.zeros((1, 1, 128), np.uint8)
    memory[0, 0, [6, 10, 12, 16]] = 60, 48, 50, 50
    told = described(memory).numpy()[0]
    assert len(told) == 128 * 9 + 25
    right, down, near = told[1152:1157], told[1157:1162], told[1162:1167]
    assert (
        right[0] == pytest.approx(12 / 80) and down[0] == 0 and near[0] == pytest.approx(np.exp(-12 / NEAR))
    )
    assert right[1] == pytest.approx(-48 / 80)
    np.testing.assert_array_equal(told[6 * 8 : 7 * 8], [0, 0, 1, 1, 1, 1, 0, 0])


KILLED = """
import json, os, signal, sys
from pathlib import Path
import pipelines
from pipelines.pacman import learning
from pipelines.pacman.game import Start
parameters, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
advance = learning.Training.advance
def until(trained):
    advance(trained)
    if trained.step >= 150:
        print([actor.pid for actor in trained.fleet._actors], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
learning.Training.advance = until
with learning.Training("mlp", parameters) as trained:
    learning.run(trained, [Start(7, 20)], folder)
"""
TUNE = [Start(7, 20)]


def ended(pid: int) -> bool:
    """Whether a process ends within some seconds."""
    for _ in range(200):
        stat = Path(f"/proc/{pid}/stat")
        try:
            if stat.read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.1)
    return False


@pytest.fixture(scope="module")
def trained() -> Iterator[Any]:
    """A tiny training, from its beginning to its end."""
    from pipelines.pacman import learning

    with learning.Training("mlp", TINY) as whole:
        learning.run(whole, TUNE, None)
        yield whole


@pytest.mark.slow
def test_a_killed_training_goes_on_as_if_nothing_had_happened(trained: Any, tmp_path: Path) -> None:
    from pipelines.pacman import learning

    done = subprocess.run(
        [sys.executable, "-c", KILLED, json.dumps(TINY), str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [path.name for path in learning.checkpoints(tmp_path)] == ["000000128"]
    assert all(ended(pid) for pid in json.loads(done.stdout)), "games outlive the training that was killed"
    with learning.Training("mlp", TINY) as resumed:
        assert resumed.load(tmp_path) and resumed.step == 128
        learning.run(resumed, TUNE, tmp_path)
        assert resumed.curve == trained.curve and resumed.step == trained.step == 192
        for name, array in trained.agent.state().items():
            np.testing.assert_array_equal(array, resumed.agent.state()[name])
        for name, array in trained.replay.state().items():
            np.testing.assert_array_equal(array, resumed.replay.state()[name])


def test_the_best_look_is_what_is_exported_and_the_memory_is_bounded(trained: Any) -> None:
    assert [step for step, _ in trained.curve.looks] == [192] and trained.best
    assert len(trained.replay) == 192 and trained.replay.memory < 256 * (128 + 40) + 8192
    assert trained.epsilon() == pytest.approx(TINY["epsilon_last"])


@pytest.fixture(scope="module")
def served(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HOME where the tiny training's agent is pushed as pacman.sample."""
    from pipelines.base import training
    from pipelines.pacman.model import make_player, signatures

    home = tmp_path_factory.mktemp("home")
    player = make_player(trained.agent, "mlp")
    folder = home / "serving" / "pacman.sample" / "1"
    training.export(player, SimpleNamespace(serving_model_dir=str(folder)), signatures(player))
    return home


@pytest.mark.slow
def test_a_served_agent_plays_over_grpc_and_refuses_what_no_console_has(
    served: Path, rows: list[tuple[str, dict[str, Any]]], tmp_path: Path
) -> None:
    from components.function_example_gen.executor import encode
    from components.report_gen import reading
    from pipelines.base import answer
    from serving.client import Client
    from serving.errors import InvalidArgument, ServingError
    from tests.conftest import viaduct

    base = served / "serving" / "pacman.sample"
    process, addresses = answer.start_server("pacman.sample", base, tmp_path / "log")
    try:
        gif = tmp_path / "play.gif"
        done = viaduct(
            "play",
            "pacman.sample",
            "--server",
            addresses["grpc"],
            "--output",
            str(gif),
            "--steps",
            "30",
            home=served,
        )
        assert done.returncode == 0, done.stderr
        with Client(addresses["grpc"]) as client:
            ram = np.frombuffer(zlib.decompress(rows[0][1]["ram"]), np.uint8).reshape(-1, 128)
            told = client.predict("pacman.sample", {"ram": ram[:5]})
            half = rows[0][1]["steps"] // 2
            middle = client.predict("pacman.sample", {"ram": ram[half : half + 1]})
            examples = np.array([encode(rows[0][1])], dtype=object)
            of_row = client.predict("pacman.sample", {"examples": examples}, signature="serve_examples")
            with pytest.raises(InvalidArgument):
                client.predict("pacman.sample", {"ram": np.zeros((1, 64), np.uint8)})
            nothing = np.array([encode({"ram": b"no zlib"})], dtype=object)
            # TensorFlow has no better code for bytes that do not inflate.
            with pytest.raises(ServingError, match="inflate"):
                client.predict("pacman.sample", {"examples": nothing}, signature="serve_examples")
            assert client.predict("pacman.sample", {"ram": ram[:1]})["action"].shape == (1,)
    finally:
        answer.end(process)
    own = reading.signature(base / "1")(ram=ram[:5])
    np.testing.assert_allclose(told["values"], own["values"].numpy(), rtol=1e-4, atol=1e-5)
    assert told["action"].tolist() == told["values"].argmax(axis=1).tolist()
    assert [ACTIONS[n].encode() for n in told["action"]] == told["name"].tolist()
    np.testing.assert_allclose(of_row["values"], middle["values"], rtol=1e-4, atol=1e-5)
    assert "30 steps" in done.stdout
    from PIL import Image

    with Image.open(gif) as pictures:
        assert pictures.n_frames == 30 / 2 + 1 and pictures.size == (160, 256)


@pytest.mark.slow
def test_the_model_is_judged_on_the_starts_that_the_random_policy_played(
    served: Path, rows: list[tuple[str, dict[str, Any]]], tmp_path: Path
) -> None:
    from components.function_evaluator.measuring import Given
    from components.function_example_gen.executor import write_splits
    from pipelines.pacman.evaluate import evaluate

    write_splits(rows, plan.SPLITS, str(tmp_path))
    files = {split: [str(p) for p in (tmp_path / f"Split-{split}").glob("*.gz")] for split in plan.SPLITS}
    told = evaluate(Given(served / "serving" / "pacman.sample" / "1", files, ("eval",)))
    assert (told.units, told.of) == (2, "episodes")
    measured = told.measure(np.ones(2, int))[()]
    scores = [row["score"] for split, row in rows if split == "eval"]
    assert measured["score_random"] == np.mean(scores)
    assert measured["gain_on_random"] == pytest.approx(measured["score"] - np.mean(scores))
    # 1.96 standard errors of two episodes.
    spread = 1.96 * abs(scores[0] - scores[1]) / 2
    assert measured["score_over_random_interval"] == pytest.approx(measured["gain_on_random"] - spread)
    only = told.measure(np.array([0, 3]))[()]
    assert only["score_random"] == scores[1] and only["example_count"] == 3


def test_play_refuses_what_is_no_game_and_what_is_not_there(tmp_path: Path) -> None:
    from tests.conftest import viaduct

    for model, words in (
        ("digits", "digits is no game. Projects that play: pacman"),
        ("pacman", "viaduct run pacman"),
    ):
        done = viaduct("play", model, home=tmp_path)
        assert done.returncode == 1 and words in done.stderr


def test_screens_of_a_row_are_stacked_with_the_newest_last(rows: list[tuple[str, dict[str, Any]]]) -> None:
    import tensorflow as tf

    from pipelines.pacman.features import middle, unpacked
    from pipelines.pacman.playing import as_served

    _, row = rows[1]
    looks = unpacked(row["frames"], "frames")
    half = len(looks) // 2
    told = middle(tf.constant([row["frames"]]), "frames", 4).numpy()
    np.testing.assert_array_equal(told[0], looks[half - 3 : half + 1])
    np.testing.assert_array_equal(as_served(told)[0, :, :, 3], looks[half])


def test_a_network_of_screens_answers_in_the_order_that_clients_send_them(tmp_path: Path) -> None:
    from pipelines.base import training
    from pipelines.pacman.agent import Agent
    from pipelines.pacman.model import make_player, signatures
    from pipelines.pacman.playing import as_served

    agent = Agent("conv", TINY)
    looks = np.random.default_rng(0).integers(0, 256, (2, 4, 84, 84)).astype(np.uint8)
    player = make_player(agent, "conv")
    fn_args = SimpleNamespace(serving_model_dir=str(tmp_path / "model"))
    training.export(player, fn_args, signatures(player))
    from components.report_gen import reading

    told = reading.signature(tmp_path / "model")(frames=as_served(looks))
    np.testing.assert_allclose(told["values"].numpy(), agent.model(looks).numpy(), rtol=1e-4, atol=1e-5)
    assert agent.act(looks, smooth=True).tolist() == told["action"].numpy().tolist()
