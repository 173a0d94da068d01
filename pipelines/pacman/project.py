"""The card of pacman: what is asked, of which data, with which hyper-parameters and bars. Facts only."""

from pipelines.base.project import Bar, DataSource, Evaluation, Profile, Project, Variant

COMMON = {
    "games": 32,
    "processes": 2,
    "batch_size": 32,
    "updates_per_step": 0.25,
    "updates_at_once": 8,
    "returns": 5,
    "discount": 0.99,
    "follow": 0.01,
    "epsilon_first": 0.8,
    "epsilon_last": 0.03,
    "epsilon_share": 0.5,
    "looks": 6,
    "checkpoint_steps": 20_000,
}

PROJECT = Project(
    name="pacman",
    title="Ms. Pac-Man",
    question="Which way now, to score the most points before all lives are lost?",
    model="Double deep Q-network with prioritised replay, over the console's memory or four screens",
    data=DataSource(
        title="The game Ms. Pac-Man of the Atari 2600, played by the Arcade Learning Environment (ale-py)",
        url="https://ale.farama.org/environments/ms_pacman/",
        licence="ale-py, whose wheel holds the ROM: GPL-2.0",
        size="no file: a plan of 200 episodes, played at the ingest",
        command="viaduct data pacman",
    ),
    variants=(
        Variant(
            "mlp",
            "two dense layers over the console's 128 bytes, their bits, and where the ghosts are",
            {**COMMON, "hidden": 256, "learning_rate": 5e-4, "steps": 600_000, "replay": 300_000},
        ),
        Variant(
            "conv",
            "three convolutions over four grey screens of 84 x 84",
            {**COMMON, "hidden": 256, "learning_rate": 2e-4, "steps": 400_000, "replay": 100_000},
        ),
    ),
    quick=Profile(
        bars=(Bar("score_over_random_interval", at_least=0.0, max_loss=200.0),),
        sample_rows=60,
        parameters={"steps": 60_000, "replay": 60_000, "looks": 1, "hidden": 128},
        variant_parameters={"conv": {"steps": 16_000, "replay": 20_000}},
    ),
    full=Profile(
        bars=(
            Bar("score_ratio_random", at_least=2.0),
            Bar("score_over_random_interval", at_least=0.0, max_loss=200.0),
        ),
        sample_rows=200,
    ),
    evaluation=Evaluation(task="own", function="pipelines.pacman.evaluate.evaluate"),
    to_beat="mean score 270.5 over 100 episodes (random: 219.5)",
    rivals={"score_random": "random actions, the same starts"},
    spans="counter",
    tags=("games", "reinforcement learning"),
)
