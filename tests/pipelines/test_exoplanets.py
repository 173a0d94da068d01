"""exoplanets: simulated stars obey physics, the periodogram finds what was put in, units do not matter."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipelines.base.errors import ProjectError
from pipelines.exoplanets import box_rival, data, koi, light_curves, periodogram, real_check, rows
from pipelines.exoplanets.light_curves import CADENCE_D, LENGTH, Orbit

TIME = np.arange(LENGTH) * CADENCE_D
HOT_JUPITER = Orbit(period=3.456, start=1.2, ratio=0.1, impact=0.2, axis=9.0, darkening=(0.4, 0.2))


def test_a_transit_has_the_depth_and_duration_of_its_orbit() -> None:
    lost = light_curves.transit(TIME, HOT_JUPITER)
    assert lost.max() == pytest.approx(0.1**2 * 1.15, rel=0.1), "limb darkening deepens a central transit"
    transits = LENGTH * CADENCE_D / HOT_JUPITER.period
    assert (lost > 0).sum() * CADENCE_D / transits == pytest.approx(HOT_JUPITER.duration + CADENCE_D, rel=0.1)
    assert (lost >= 0).all() and (lost[(TIME < 1.0)] == 0).all()


def test_a_planet_that_misses_the_disc_takes_no_light() -> None:
    grazing = Orbit(3.0, 0.5, 0.05, 1.06, 8.0, (0.4, 0.2))
    assert light_curves.transit(TIME, grazing).max() == 0.0


def test_noise_is_that_of_kepler_for_faint_and_bright_stars() -> None:
    assert light_curves.noise_of(6_000) == pytest.approx(650e-6, rel=0.1)
    assert light_curves.noise_of(57_000) == pytest.approx(150e-6, rel=0.15)
    assert light_curves.noise_of(1e7) >= 60e-6


def test_the_sample_has_the_official_columns_and_both_labels(tmp_path: Path) -> None:
    data.sample(tmp_path, 40, seed=1)
    header, *lines = (tmp_path / data.FILE).read_text(encoding="utf-8").splitlines()
    assert header.replace('"', "").split(",")[:2] == ["LABEL", "FLUX.1"] and header.count(",") == LENGTH
    labels = [line.split(",", 1)[0] for line in lines]
    assert labels.count("2") == 4 and labels.count("1") == 36


def test_fetching_says_how_to_get_what_needs_an_account(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"Kaggle.*exoTrain.csv.*--data FOLDER"):
        data.fetch(tmp_path)


def _write(file: Path, labels: list[object], value: str = "1.5", length: int = LENGTH) -> Path:
    names = ",".join(["LABEL", *(f"FLUX.{i}" for i in range(1, length + 1))])
    body = "\n".join(f"{label}," + ",".join([value] * length) for label in labels)
    content = f"{names}\n{body}\n".encode()
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)
    return file


def test_every_split_gets_hosts_and_others_even_where_hosts_are_few(tmp_path: Path) -> None:
    files = [
        _write(tmp_path / "exoTrain.csv", [2] * 5 + [1] * 20),
        _write(tmp_path / "exoTest.csv.gz", [2, 1, 1]),
    ]
    found = [(split, row["LABEL"]) for split, row in rows.read_rows(files, {})]
    assert len(found) == 28
    for split in rows.SPLITS:
        assert {label for s, label in found if s == split} == {1, 2}


@pytest.mark.parametrize("column", ["target", "KepID"])
def test_all_windows_of_a_star_are_in_one_split_where_the_file_names_the_stars(
    tmp_path: Path, column: str
) -> None:
    file = _write(tmp_path / "windows.csv.gz", [1, 1, 1, 2, 2] * 12)
    lines = gzip.decompress(file.read_bytes()).decode().splitlines()
    # Five windows of a star after each other, in every order of stars: by rows they would go to all splits.
    stars = [f"KIC {100 + number * 7 % 12}" for number in range(60)]
    named = [f"{line},{star}" for line, star in zip(lines, [column, *stars], strict=True)]
    file.write_bytes(gzip.compress("\n".join(named).encode()))
    found = [(split, star) for (split, _), star in zip(rows.read_rows([file], {}), stars, strict=True)]
    splits_of = {star: {split for split, other in found if other == star} for star in stars}
    assert all(len(splits) == 1 for splits in splits_of.values())
    assert {split for split, _ in found} == set(rows.SPLITS)


KOI_TABLE = """# from the archive
kepid,kepoi_name,kepler_name,koi_disposition,koi_period
11551692,K01781.02,Kepler-411 b,CONFIRMED,3.005
11551692,K01781.01,Kepler-411 c,CONFIRMED,7.834
6185476,K00227.01,,CANDIDATE,17.657
777,K09999.01,,FALSE POSITIVE,1.5
"""


@pytest.fixture
def koi_table(tmp_path: Path) -> dict[str, koi.Known]:
    (tmp_path / "koi.csv").write_text(KOI_TABLE, encoding="utf-8")
    return koi.read(tmp_path / "koi.csv")


def test_labels_that_the_table_of_objects_contradicts_are_named(koi_table: dict[str, koi.Known]) -> None:
    stars = ["KIC 11551692", "Kepler-411", "KIC 6185476", "777", "KIC 777", "KIC 5"]
    hosts = np.array([False, True, False, True, False, True])
    lines = koi.compare(hosts, stars, koi_table)
    assert lines == [
        "777: label planet is WRONG by the table: K09999.01 false positive, 1.5 d",
        "KIC 11551692: label no planet is WRONG by the table: Kepler-411 c confirmed, 7.834 d; "
        "Kepler-411 b confirmed, 3.005 d",
        "KIC 5: label planet; not in the table",
        "KIC 6185476: label no planet; OPEN, candidates only: K00227.01 candidate, 17.66 d",
    ]
    labels, counts = koi.relabel(hosts, stars, koi_table)
    assert labels[counts].tolist() == [True, True, False, False, True], "what is not in it keeps its label"
    assert counts.tolist() == [True, True, False, True, True, True]


def test_the_check_is_made_once_more_by_the_tables_labels(
    koi_table: dict[str, koi.Known], capsys: pytest.CaptureFixture[str]
) -> None:
    stars, hosts = ["KIC 11551692", "777", "KIC 6185476"], np.array([False, False, True])
    figures = real_check.by_table(np.array([0.9, 0.1, 0.2]), hosts, stars, koi_table)
    assert figures["curves"] == 2 and figures["roc_auc"] == 1.0
    assert "WRONG" in capsys.readouterr().out
    assert real_check.by_table(np.array([0.9]), hosts[:1], stars[:1], koi_table) == {}


def test_a_file_that_is_no_table_of_objects_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ProjectError, match="kepoi_name"):
        koi.read(tmp_path / "x.csv")
    with pytest.raises(ProjectError, match="cannot be read"):
        koi.read(tmp_path / "none.csv.gz")


def test_empty_cells_are_missing_and_wrong_layouts_are_refused(tmp_path: Path) -> None:
    ((label, flux),) = rows.read_curves(_write(tmp_path / "gaps.csv", [1], value=""))
    assert label == 1 and np.isnan(flux).all() and len(flux) == LENGTH
    with pytest.raises(ProjectError, match=r"FLUX\.1 to FLUX\.3197"):
        list(rows.read_curves(_write(tmp_path / "short.csv", [1], length=10)))
    with pytest.raises(ProjectError, match=r"LABEL is 7; expected 2"):
        list(rows.read_curves(_write(tmp_path / "label.csv", [7])))


@pytest.fixture(scope="module")
def curves() -> dict[str, np.ndarray]:
    """Three stars that give 20,000 electrons per second: a hot Jupiter's, an eclipsing pair, a quiet one."""
    random = np.random.default_rng(4)
    noise = light_curves.noise_of(20_000)

    def observed(lost: np.ndarray) -> np.ndarray:
        return (20_000 * (1 - lost + light_curves.relative_noise(random, LENGTH, noise))).astype(np.float32)

    pair = Orbit(5.0, 2.0, 0.6, 0.9, 10.0, (0.4, 0.2))
    opposite = Orbit(5.0, 4.5, 0.6, 0.9, 10.0, (0.4, 0.2))
    eclipses = 0.1 * light_curves.transit(TIME, pair) + 0.04 * light_curves.transit(TIME, opposite)
    return {
        "planet": observed(0.3 * light_curves.transit(TIME, HOT_JUPITER)),
        "pair": observed(eclipses),
        "quiet": observed(np.zeros(LENGTH)),
    }


@pytest.fixture(scope="module")
def features_of() -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    import tensorflow as tf

    from pipelines.exoplanets import features

    traced = tf.function(features.curve_features, input_signature=[tf.TensorSpec([None, LENGTH], tf.float32)])
    return lambda flux: {name: value.numpy() for name, value in traced(flux.astype(np.float32)).items()}


@pytest.mark.slow
def test_the_periodogram_finds_the_period_and_tells_a_planet_from_a_pair_of_stars(
    curves: dict[str, np.ndarray], features_of: Callable[[np.ndarray], dict[str, np.ndarray]]
) -> None:
    found = features_of(np.stack([curves["planet"], curves["pair"], curves["quiet"]]))
    assert 10 ** found["period"][0] == pytest.approx(HOT_JUPITER.period, rel=2e-3)
    assert 10 ** found["duration"][0] * CADENCE_D == pytest.approx(HOT_JUPITER.duration, rel=0.35)
    assert found["box_power"][0] > 2.0 and found["box_power"][2] < 1.0, "in powers of ten of the noise"
    # The pair's second eclipse is 0.4 of the first; or its half period is found, and odd and even differ.
    assert abs(found["second_eclipse"][0]) < 0.05 and found["odd_even"][0] < 0.05
    assert max(found["second_eclipse"][1], found["odd_even"][1]) > 0.25


@pytest.mark.slow
def test_units_offsets_and_missing_cadences_do_not_matter(
    curves: dict[str, np.ndarray], features_of: Callable[[np.ndarray], dict[str, np.ndarray]]
) -> None:
    flux = curves["planet"]
    gaps = flux.copy()
    gaps[500:560] = np.nan
    gaps[::97] = np.nan
    nothing = np.full(LENGTH, np.nan, np.float32)
    constant = np.full(LENGTH, 7.0, np.float32)
    found = features_of(np.stack([flux, flux - np.median(flux), 3 * flux + 100, gaps, nothing, constant]))
    for name, values in found.items():
        assert np.isfinite(values).all(), name
        assert values[1] == pytest.approx(values[0], rel=0.05, abs=0.05), name
        assert values[2] == pytest.approx(values[0], rel=0.05, abs=0.05), name
    assert 10 ** found["period"][3] == pytest.approx(HOT_JUPITER.period, rel=2e-3)


def test_trial_periods_are_dense_enough_that_no_transit_slips_through() -> None:
    frequencies = periodogram.trial_frequencies().astype(float)
    frequencies = frequencies[: -periodogram.PERIODS_AT_ONCE]
    periods_d = CADENCE_D / frequencies
    durations = 2.9 / 24 / CADENCE_D * (periods_d / 3) ** (1 / 3)
    shift = np.diff(frequencies) * LENGTH / frequencies[:-1]
    assert (shift <= durations[:-1]).all(), (
        "the last transit moves by less than a duration from trial to trial"
    )


def test_the_interval_of_the_area_is_drawn_by_stars() -> None:
    scores = np.array([0.9, 0.8, 0.2, 0.1, 0.3, 0.7])
    hosts = np.array([True, True, False, False, False, True])
    by_curve = real_check.check(scores, hosts, [str(i) for i in range(6)])
    by_star = real_check.check(scores, hosts, ["a", "a", "b", "b", "b", "c"])
    assert by_curve["roc_auc"] == by_star["roc_auc"] == 1.0 == by_star["low"]
    mixed = real_check.check(1 - scores * hosts, hosts, ["a", "a", "b", "b", "c", "d"])
    assert mixed["roc_auc"] < 0.5 and mixed["low"] <= mixed["roc_auc"] <= mixed["high"]


def test_a_planet_put_into_a_curve_takes_the_light_that_it_hides_and_no_other() -> None:
    curves = np.stack([np.full(LENGTH, 5_000.0), np.full(LENGTH, 80_000.0)])
    made = box_rival.put_in(np.random.default_rng(1), curves, 3_000)
    lost = 1 - made / curves
    assert (lost >= 0).all() and (lost == 0).mean() > 0.7
    # A limb-darkened disc is brighter in the middle than its mean, and darker near the rim.
    assert (lost.max(axis=1) > 0.7 * 3e-3).all() and (lost.max(axis=1) < 1.3 * 3e-3).all()


def test_the_box_power_is_compared_on_the_same_curves_and_by_depth() -> None:
    flux = np.random.default_rng(2).normal(10_000, 3, (4, LENGTH))

    def asked(curves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ours sees the deepest dip; the rival is blind."""
        return -curves.min(axis=1) / 10_000, np.zeros(len(curves))

    figures = box_rival.by_depth(asked, flux, ["a", "a", "b", "c"])
    assert list(figures) == [f"{depth:,} parts per million" for depth in box_rival.DEPTHS]
    deepest = figures["10,000 parts per million"]["roc_auc"]
    assert (deepest["ours"], deepest["rival"], deepest["gain"]) == (1.0, 0.5, 0.5)
    assert deepest["low"] == deepest["high"] == 0.5, "it is the same for whichever stars"
    assert box_rival.beside(np.ones(6), np.ones(6), np.arange(6) < 2, np.arange(6))["pr_auc"]["gain"] == 0


def test_the_rows_that_a_run_judges_by_are_those_of_its_evaluation_split(tmp_path: Path) -> None:
    data.sample(tmp_path, 40, seed=6)
    hosts, flux = box_rival.evaluation_rows(tmp_path)
    judged = [row for split, row in rows.read_rows(sorted(tmp_path.glob("*.csv")), {}) if split == "eval"]
    assert hosts.tolist() == [row["LABEL"] == 2 for row in judged] and hosts.any() and not hosts.all()
    np.testing.assert_array_equal(flux, np.array([row["flux"] for row in judged], np.float32))


def test_scores_are_told_star_by_star() -> None:
    scores, hosts = np.array([0.25, 0.75, 0.5, 0.125]), np.array([True, True, True, False])
    assert real_check.by_star(scores, hosts, ["b", "b", "b", "a"]) == [
        "a (no planet), 1 curves: 0.125 to 0.125, median 0.125",
        "b (planet), 3 curves: 0.250 to 0.750, median 0.500",
    ]


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.xdist_group("run-exoplanets")
def test_real_curves_that_no_model_has_seen_are_scored_with_an_interval(
    finished_run: Callable[[str], object], real_data: Path
) -> None:
    """Ten stars cannot prove a model; the figure is printed for the README, and must not be worse than chance."""
    run = finished_run("exoplanets")
    folder = real_data / "kepler_lightcurves"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pipelines.exoplanets.real_check",
            str(folder / "exo_like_3197.csv.gz"),
            "--stars",
            str(folder / "exo_like_3197_targets.csv"),
            "--koi",
            str(real_data / "kepler_koi" / "koi_cumulative.csv.gz"),
            "--model",
            run.record.pushed,  # type: ignore[attr-defined]
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    import json

    found = json.loads(done.stdout.splitlines()[-1])
    assert found["curves"] == 42 and found["hosts"] == 32
    assert found["low"] <= found["roc_auc"] <= found["high"]
    assert found["high"] > 0.5
    assert found["by_table"]["curves"] == 36, "two stars have candidates only"
    assert "WRONG" not in done.stdout and done.stdout.count("OPEN") == 2
