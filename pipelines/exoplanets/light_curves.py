"""Made-up light curves with the physics and the faults of Kepler's: stars, transits, eclipses, instrument.

Used by data.sample() alone; nothing here enters training or serving. Times are in days, fluxes relative to the
star's mean (1.0) until `Observer` turns them into counted electrons per second with noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

CADENCE_D = 29.424 / 1440.0
LENGTH = 3197
# Kepler watched one field for about this long; a planet is confirmed from all of it, not from one window.
MISSION_D = 1400.0
WINDOW_D = LENGTH * CADENCE_D
# Exposures of half an hour smear ingress and egress; this many sub-exposures are averaged.
SUB_EXPOSURES = 5


@dataclass(frozen=True)
class Orbit:
    """A body that crosses its star: period [d], first crossing [d], radius ratio, impact, a / R*, limb darkening."""

    period: float
    start: float
    ratio: float
    impact: float
    axis: float
    darkening: tuple[float, float]

    @property
    def duration(self) -> float:
        """First to last contact in days (Seager & Mallen-Ornelas 2003, circular orbit)."""
        chord = math.sqrt(max((1 + self.ratio) ** 2 - self.impact**2, 1e-9))
        return self.period / math.pi * math.asin(min(1.0, chord / self.axis))


def axis_over_radius(period: float, density: float) -> float:
    """a / R* from Kepler's third law; `density` in units of the Sun's, `period` in days."""
    return 4.206 * density ** (1 / 3) * period ** (2 / 3)


def transit(time: np.ndarray, orbit: Orbit) -> np.ndarray:
    """[n] relative flux lost at `time`, averaged over the exposure.

    Overlap of two discs times the limb-darkened brightness below the smaller one's centre (quadratic law), which
    is exact for small bodies and within a few per cent of the depth for the largest used here.
    """
    shifts = (np.arange(SUB_EXPOSURES) - (SUB_EXPOSURES - 1) / 2) / SUB_EXPOSURES * CADENCE_D
    phase = np.mod((time - orbit.start) / orbit.period + 0.5, 1.0) - 0.5
    near = np.abs(phase) * orbit.period < orbit.duration / 2 + CADENCE_D
    lost = np.zeros(len(time))
    angle = 2 * math.pi * (phase[near, None] + shifts / orbit.period)
    distance = np.hypot(orbit.axis * np.sin(angle), orbit.impact * np.cos(angle))
    mu = np.sqrt(np.clip(1 - np.minimum(distance, 1.0) ** 2, 0.0, 1.0))
    u1, u2 = orbit.darkening
    brightness = (1 - u1 * (1 - mu) - u2 * (1 - mu) ** 2) / (1 - u1 / 3 - u2 / 6)
    lost[near] = (_overlap(distance, orbit.ratio) / math.pi * brightness).mean(axis=1)
    return lost


def _overlap(distance: np.ndarray, ratio: float) -> np.ndarray:
    """Common area of the unit disc and one of radius `ratio` <= 1 whose centres are `distance` apart."""
    d = np.clip(distance, 1e-9, None)
    one = np.arccos(np.clip((d**2 + 1 - ratio**2) / (2 * d), -1, 1))
    other = np.arccos(np.clip((d**2 + ratio**2 - 1) / (2 * d * ratio), -1, 1))
    kite = np.sqrt(np.clip((-d + 1 + ratio) * (d + 1 - ratio) * (d - 1 + ratio) * (d + 1 + ratio), 0, None))
    lens = ratio**2 * other + one - kite / 2
    return np.where(d >= 1 + ratio, 0.0, np.where(d <= 1 - ratio, math.pi * ratio**2, lens))


def spots(random: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """Spots that turn with the star and come and go: two harmonics with slowly changing size and phase."""
    period = np.exp(random.uniform(math.log(3.0), math.log(40.0)))
    size = 10 ** random.uniform(-3.8, -2.0)
    life = random.uniform(1.0, 4.0) * period
    value = np.zeros(len(time))
    for harmonic in (1, 2):
        knots = np.arange(time[0] - life, time[-1] + 2 * life, life)
        swing = np.interp(time, knots, random.normal(1.0, 0.5, len(knots)))
        drift = np.interp(time, knots, np.cumsum(random.normal(0, 0.4, len(knots))))
        value += swing / harmonic * np.sin(2 * math.pi * harmonic * time / period + drift)
    return size * value


def pulsations(random: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """A delta Scuti or gamma Doradus star: a handful of steady sine waves."""
    fast = random.random() < 0.5
    periods = np.exp(random.uniform(*((-3.2, -1.4) if fast else (-1.0, 1.1)), random.integers(3, 9)))
    sizes = 10 ** random.uniform(-4.0, -2.3) * random.dirichlet(np.ones(len(periods)))
    phases = random.uniform(0, 2 * math.pi, len(periods))
    return (sizes[:, None] * np.sin(2 * math.pi * time / periods[:, None] + phases[:, None])).sum(axis=0)


def ringing(random: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """An RR Lyrae star or a Cepheid: a steep rise, a slow fall, tens of per cent."""
    period = random.uniform(0.35, 0.8) if random.random() < 0.7 else random.uniform(2.0, 12.0)
    rise = random.uniform(0.1, 0.3)
    phase = np.mod(time / period + random.random(), 1.0)
    wave = np.where(phase < rise, phase / rise, np.exp(-(phase - rise) / random.uniform(0.15, 0.5)))
    beat = 1 + random.uniform(0, 0.15) * np.sin(2 * math.pi * time / random.uniform(20, 60))
    return random.uniform(0.1, 0.8) * wave * beat


def granulation(random: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """A giant's convection: noise with a memory of hours (Ornstein-Uhlenbeck)."""
    memory = np.exp(random.uniform(math.log(0.1), math.log(1.5)))
    size = 10 ** random.uniform(-4.2, -3.0)
    keep = math.exp(-CADENCE_D / memory)
    steps = random.normal(0, size * math.sqrt(1 - keep**2), len(time))
    value = np.empty(len(time))
    last = random.normal(0, size)
    for i, step in enumerate(steps):
        last = keep * last + step
        value[i] = last
    return value


def eclipses(random: np.random.Generator, time: np.ndarray, *, diluted: bool) -> np.ndarray:
    """Two stars that hide each other (flux lost, positive), in contact or apart.

    Diluted: most of the light comes from a third star, so the eclipses are as shallow as transits. What gives them
    away is a second eclipse, unequal odd and even ones, or a V shape.
    """
    period = np.exp(random.uniform(math.log(0.3), math.log(25.0)))
    start = random.uniform(0, period)
    if period < 0.8 and not diluted:
        phase = 2 * math.pi * (time - start) / period
        return random.uniform(0.02, 0.4) * (
            0.5 + 0.5 * np.cos(2 * phase) + random.uniform(0, 0.3) * np.cos(phase)
        )
    ratio = random.uniform(0.3, 0.98)
    axis = axis_over_radius(period, random.lognormal(-0.3, 0.5)) * (1 + ratio) ** (1 / 3)
    axis = max(axis, 1.5 * (1 + ratio))
    impact = random.uniform(0, 0.97 * (1 + ratio))
    first = transit(time, Orbit(period, start, ratio, impact, axis, (0.4, 0.25)))
    second = transit(time, Orbit(period, start + period / 2, ratio, impact, axis, (0.4, 0.25)))
    brightness = random.beta(1.2, 2.0)
    share = 10 ** random.uniform(-3.3, -1.5) if diluted else 1 / (1 + brightness * ratio**2)
    wave = random.uniform(0, 0.02) / period * np.cos(4 * math.pi * (time - start) / period)
    return share * (first + brightness * second + wave)


def drifts(random: np.random.Generator, time: np.ndarray, noise: float) -> np.ndarray:
    """What the telescope adds: slow trends, pixels that lose sensitivity and recover, the roll of K2."""
    turns = (time - time[0]) / (time[-1] - time[0]) - 0.5
    size = noise * random.exponential(1.5)
    value = size * np.polynomial.polynomial.polyval(turns, random.normal(0, [0.0, 1.5, 2.0, 3.0]))
    for _ in range(random.poisson(0.6)):
        when, drop = random.uniform(time[0], time[-1]), noise * random.normal(0, 4)
        after = time >= when
        value[after] += drop * np.exp(-(time[after] - when) / random.choice([0.3, 2.0, 1e3]))
    if random.random() < 0.35:
        # K2's thrusters fired every six hours and the star slid over the pixels in between.
        saw = np.mod(time / 0.2452 + random.random(), 1.0) - 0.5
        value += noise * random.exponential(0.5) * saw * (1 + 0.5 * np.sin(time / 9))
    return value


def flares(random: np.random.Generator, time: np.ndarray, noise: float) -> np.ndarray:
    """Sudden brightenings with a tail, and single cadences struck by particles."""
    value = np.zeros(len(time))
    if random.random() < 0.08:
        for when in random.uniform(time[0], time[-1], random.poisson(8)):
            after = time >= when
            value[after] += noise * random.pareto(1.5) * 5 * np.exp(-(time[after] - when) / 0.05)
    for where in random.integers(0, len(time), random.poisson(4)):
        value[where] += noise * random.normal(0, 1) * 4 + noise * random.exponential(3)
    return value


def noise_of(counts: float) -> float:
    """Relative noise of a half-hour exposure of a star that gives `counts` electrons per second.

    Photons, then sky and read-out (which rule below some 15,000 electrons per second), then a floor of 60 parts
    per million that no star goes below.
    """
    photons = 1.0 / math.sqrt(counts * 1625.0)
    return math.hypot(photons * math.sqrt(1.0 + 16_700.0 / counts), 60e-6)


def observing_times(random: np.random.Generator) -> np.ndarray:
    """[LENGTH] days: cadences that were lost are missing, and the official files close up over them."""
    lost = np.zeros(LENGTH + 400, bool)
    for _ in range(random.poisson(1.2)):
        where = random.integers(0, LENGTH)
        lost[where : where + random.integers(3, 60)] = True
    lost[random.integers(0, LENGTH, random.poisson(6))] = True
    return np.flatnonzero(~lost)[:LENGTH] * CADENCE_D


def counts_of(random: np.random.Generator) -> float:
    """Electrons per second of a random target; most are faint."""
    return float(10 ** np.clip(random.normal(4.1, 0.55), 3.3, 6.0))


def relative_noise(random: np.random.Generator, size: int, noise: float) -> np.ndarray:
    """[size] white noise with slightly heavy tails."""
    return noise * random.standard_t(12, size) / math.sqrt(12 / 10)
