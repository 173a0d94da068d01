"""One MsPacman by gymnasium and ale-py: sticky actions 0.25, four frames a step, starts told by a seed and no-ops.

A step is one decision: the action is held for four frames, and in each of these the console hears the action of the
frame before with chance 0.25. These chances are drawn here, by the rule of ale-py's own `repeat_action_probability`
(Machado and others, 2018, section 5), because ale-py takes a seed only where it loads the game anew, which costs as
much as a hundred steps. The tune that the game plays before it listens is skipped: every episode begins where it can
be steered.
"""

from __future__ import annotations

import contextlib
import functools
import pickle
import random
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipelines.base.errors import ProjectError

if TYPE_CHECKING:
    from ale_py import ALEInterface

GAME = "ALE/MsPacman-v5"
STICKY, FRAME_SKIP = 0.25, 4
ACTIONS = ("noop", "up", "right", "left", "down", "upright", "upleft", "downright", "downleft")
RAM_BYTES, SIDE = 128, 84
# What a Game can be asked to see, with the shape of one look at it; all are uint8.
SHAPES: dict[str, tuple[int, ...]] = {"ram": (RAM_BYTES,), "frames": (SIDE, SIDE)}
SCREEN = (210, 160)
# Steps for which the game plays its tune and does not listen.
TUNE_STEPS = 65
# Steps after which an episode is cut: five times as long as good ones are.
LONGEST = 5_000


class Start(NamedTuple):
    """How an episode begins: the seed of its sticky actions, and steps without an action before the first decision."""

    seed: int
    noops: int


class Step(NamedTuple):
    """What a step gave: points, whether a life was lost, whether the game is over (or was cut)."""

    reward: float
    lost: bool
    over: bool


class Game:
    """One game; not for several threads. Raises ProjectError where gymnasium, ale-py or the ROM is missing.

    `colour` keeps what `picture` needs, which takes time at every step.
    """

    def __init__(self, *, colour: bool = False) -> None:
        environment = make()
        self._ale: ALEInterface = environment.unwrapped.ale
        self._actions = [environment.unwrapped._action_set[n] for n in range(len(ACTIONS))]
        self._tune = after_tune()
        self._random = random.Random(0)
        self._held = self._lives = self._steps = 0
        self._before, self._now = np.zeros(SCREEN, np.uint8), np.zeros(SCREEN, np.uint8)
        self._colours = np.zeros((*SCREEN, 3), np.uint8) if colour else None

    def start(self, start: Start) -> None:
        """Begins the episode that `start` names: the same one whenever it is asked for."""
        self._ale.restoreState(self._tune)
        self._random = random.Random(start.seed)
        self._held, self._lives, self._steps = 0, self._ale.lives(), 0
        # A restored console shows the screen that it had; the tune's last frame draws this game's.
        self._ale.act(self._actions[0])
        self._before = self._ale.getScreenGrayscale()
        self._now = self._before.copy()
        if self._colours is not None:
            self._ale.getScreenRGB(self._colours)
        for _ in range(start.noops):
            self._hold(0)

    def step(self, action: int) -> Step:
        """Holds ACTIONS[action] for four frames."""
        reward = self._hold(action)
        self._steps += 1
        lives = self._ale.lives()
        lost, self._lives = lives < self._lives, lives
        over = self._ale.game_over()
        return Step(reward, lost or over, over or self._steps >= LONGEST)

    def _hold(self, action: int) -> float:
        reward = 0.0
        for frame in range(FRAME_SKIP):
            if self._random.random() >= STICKY:
                self._held = action
            reward += self._ale.act(self._actions[self._held])
            if frame == FRAME_SKIP - 2:
                self._ale.getScreenGrayscale(self._before)
                if self._colours is not None:
                    self._ale.getScreenRGB(self._colours)
        self._ale.getScreenGrayscale(self._now)
        return reward

    def look(self, what: str) -> np.ndarray:
        """SHAPES[what]: the console's 128 bytes, or the screen in grey and small, brighter of the last two frames.

        The brighter of two, because the console draws some ghosts in every second frame only.
        """
        if what == "ram":
            return self._ale.getRAM()
        return shrunk(np.maximum(self._before, self._now))

    def picture(self) -> np.ndarray:
        """The screen in colour, uint8 [210, 160, 3]; of a `colour` game, the brighter of the last two frames."""
        now = self._ale.getScreenRGB()
        return (
            now
            if self._colours is None
            else np.where((self._before > self._now)[..., None], self._colours, now)
        )

    def state(self) -> bytes:
        """All that decides how the game goes on, random numbers too; `restore` takes it, in another process as well."""
        own = (self._random.getstate(), self._held, self._lives, self._steps, self._before, self._now)
        return pickle.dumps((self._ale.cloneState(include_rng=True), own))

    def restore(self, state: bytes) -> None:
        """The inverse of `state`."""
        saved, (numbers, self._held, self._lives, self._steps, self._before, self._now) = pickle.loads(state)
        self._ale.restoreState(saved)
        self._random.setstate(numbers)


@functools.cache
def after_tune() -> Any:
    """The console when the tune has been played but for its last frame; the same in every process.

    ale-py draws what memory holds at power-up and what unconnected lines read, so its random numbers are a part of it.
    """
    environment = make()
    environment.reset(seed=0)
    ale = environment.unwrapped.ale
    for _ in range(TUNE_STEPS * FRAME_SKIP - 1):
        ale.act(environment.unwrapped._action_set[0])
    return ale.cloneState(include_rng=True)


def make() -> Any:
    """gymnasium's environment of single frames. Raises ProjectError that says what is missing."""
    try:
        import ale_py
        import gymnasium
    except ImportError as error:
        raise ProjectError(
            f"pacman: {error}. It is played by gymnasium and ale-py: install requirements.lock (make setup)."
        ) from error
    with contextlib.suppress(AttributeError):
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    try:
        gymnasium.register_envs(ale_py)
        return gymnasium.make(
            GAME,
            frameskip=1,
            repeat_action_probability=0.0,
            obs_type="ram",
            disable_env_checker=True,
        )
    except (gymnasium.error.Error, OSError, RuntimeError) as error:
        raise ProjectError(
            f"pacman: the game {GAME} cannot be started: {error}. ale-py brings the ROM ms_pacman.bin in its folder "
            "`roms`; expected ale-py 0.12 as in requirements.lock, whole: install it anew."
        ) from error


def shrunk(screen: np.ndarray) -> np.ndarray:
    """A grey screen [210, 160] -> [84, 84] by the mean over areas: five rows become two; the columns, with four black
    ones on either side, are taken in pairs.
    """
    pairs = np.zeros((SCREEN[0], SIDE), np.uint16)
    pairs[:, 2:-2] = screen[:, ::2]
    pairs[:, 2:-2] += screen[:, 1::2]
    fives = pairs.reshape(SIDE // 2, 5, SIDE)
    small = np.empty((SIDE // 2, 2, SIDE), np.uint16)
    small[:, 0] = 2 * (fives[:, 0] + fives[:, 1]) + fives[:, 2]
    small[:, 1] = 2 * (fives[:, 4] + fives[:, 3]) + fives[:, 2]
    return ((small + 5) // 10).astype(np.uint8).reshape(SIDE, SIDE)
