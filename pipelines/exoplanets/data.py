"""Where light curves come from: Kaggle's Kepler set, or simulated stars in the same layout.

`sample` simulates what decides the question in real curves: stars that are quiet, spotted, pulsating, ringing or
convective; hosts whose transits have the depth, duration, shape and limb darkening that orbit and star imply;
pairs of stars that mimic them; and an instrument that drifts, jumps and loses cadences (light_curves.py). Noise
follows Kepler's: about 650 parts per million at 6,000 electrons per second, 150 at 57,000. Three hosts in four
were confirmed from such a window alone, as K2's; one in four from the four years of Kepler's mission, so that
its window may show a weak transit, a single one, or none. Hosts are 10 % instead of the official set's 0.7 %:
a small sample must hold enough of them for a recall to mean something.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from pipelines.base.errors import ProjectError
from pipelines.exoplanets import light_curves as lc
from pipelines.exoplanets.project import PROJECT

FILE = "exoplanets.csv"
HOST_RATE = 0.10
MISSION_RATE = 0.25
# What a window must show of a planet with a short period, and the whole mission of any: signal over noise.
WINDOW_SNR, MISSION_SNR = 7.0, 7.1
ROWS_AT_ONCE = 500


def fetch(folder: Path) -> None:
    """There is no download without an account: raises ProjectError that says how to get the files."""
    raise ProjectError(
        f"{PROJECT.name}: the official set needs a free Kaggle account. Download exoTrain.csv and exoTest.csv from "
        f"{PROJECT.data.url} (or `kaggle datasets download keplersmachines/kepler-labelled-time-series-data`), "
        f"unpack them into one folder and pass it: viaduct run {PROJECT.name} --profile full --data FOLDER."
    )


def sample(folder: Path, rows: int, seed: int) -> None:
    """Writes `rows` simulated stars to exoplanets.csv in the official layout; same seed, same bytes."""
    import pyarrow as pa
    import pyarrow.csv

    random = np.random.default_rng(seed)
    names = ["LABEL", *(f"FLUX.{i}" for i in range(1, lc.LENGTH + 1))]
    hosts = max(1, round(rows * HOST_RATE))
    label = np.ones(rows, np.int64)
    label[random.choice(rows, hosts, replace=False)] = 2
    with open(folder / FILE, "wb") as file:
        for start in range(0, rows, ROWS_AT_ONCE):
            part = label[start : start + ROWS_AT_ONCE]
            curves = np.stack([curve(random, host=bool(value == 2)) for value in part]).round(2)
            table = pa.table([pa.array(part), *(pa.array(column) for column in curves.T)], names=names)
            options = pyarrow.csv.WriteOptions(include_header=start == 0)
            pyarrow.csv.write_csv(table, file, write_options=options)


def curve(random: np.random.Generator, *, host: bool) -> np.ndarray:
    """[3197] electrons per second around the star's median, as the official files hold them."""
    time = lc.observing_times(random)
    counts = lc.counts_of(random)
    noise = lc.noise_of(counts)
    flux = 1.0 + _star(random, time, host=host)
    if host:
        flux *= 1.0 - lc.transit(time, _planet(random, noise))
    elif (mimic := random.random()) < 0.11:
        flux *= 1.0 - lc.eclipses(random, time, diluted=mimic < 0.05)
    flux += lc.drifts(random, time, noise) + lc.flares(random, time, noise)
    flux += lc.relative_noise(random, len(time), noise)
    return counts * (flux - np.median(flux))


def _star(random: np.random.Generator, time: np.ndarray, *, host: bool) -> np.ndarray:
    """The star's own light. Planets are hardly ever confirmed around stars that ring or pulsate strongly."""
    weights = [0.45, 0.40, 0.02, 0.0, 0.13] if host else [0.40, 0.32, 0.08, 0.06, 0.14]
    kind = random.choice(5, p=weights)
    makers = (None, lc.spots, lc.pulsations, lc.ringing, lc.granulation)
    maker = makers[kind]
    return np.zeros(len(time)) if maker is None else maker(random, time)


def _planet(random: np.random.Generator, noise: float) -> lc.Orbit:
    """An orbit that could have been confirmed with this noise: tried until its signal suffices."""
    whole_mission = random.random() < MISSION_RATE
    longest = 400.0 if whole_mission else 32.0
    while True:
        period = math.exp(random.uniform(math.log(0.7), math.log(longest)))
        radius = random.lognormal(-0.1, 0.25)
        # Larger stars are less dense; radii of planets in units of the star's, small ones being common.
        axis = lc.axis_over_radius(period, radius ** random.uniform(-2.6, -1.6))
        ratio = min(0.18, 0.0092 * math.exp(random.uniform(0.0, 2.7)) / radius)
        darkening = (random.uniform(0.25, 0.6), random.uniform(0.05, 0.35))
        if axis <= 1.3:
            continue
        orbit = lc.Orbit(period, random.uniform(0, period), ratio, random.uniform(0, 0.95), axis, darkening)
        per_transit = ratio**2 / noise * math.sqrt(orbit.duration / lc.CADENCE_D)
        if per_transit * math.sqrt(lc.MISSION_D / period) < MISSION_SNR:
            continue
        if whole_mission or per_transit * math.sqrt(lc.WINDOW_D / period) >= WINDOW_SNR:
            return orbit
