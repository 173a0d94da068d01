"""Covariances of normalised yearly curves, written once for fitting and for serving.

A point is (year, u): u in [0, 1] is the part of the year that has passed, and the curve starts at 0 at u = 0.
Each function takes points a and b [..., 2], which broadcast, and positive hyper-parameters by name; all are float64
TensorFlow. GPflow fits them through `gpflow_kernel`; a SavedModel holds them without GPflow.

`rbf_white` is Rasmussen and Williams (2006), eq. 2.31 with one length scale per input; `matern_white` their eq.
4.18 (order 1/2). `walk` is a Wiener process per year, whose covariance is min(u, u'), plus what years share: a
straight drift (covariance u u') and a smooth season held at 0 at New Year (an RBF conditioned on that).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

Hyper = Mapping[str, Any]
Covariance = Callable[[Any, Any, Hyper], Any]
NOISE = "noise"
# Starting points of the fit, in log-price units; `noise` is the variance of each single observation.
START: dict[str, dict[str, float]] = {
    "rbf_white": {"variance": 0.04, "year_scale": 2.0, "day_scale": 0.3, NOISE: 1e-3},
    "matern_white": {"variance": 0.04, "year_scale": 0.5, "day_scale": 1.0, NOISE: 1e-5},
    "walk": {"walk": 0.06, "drift": 0.0025, "season": 1e-4, "season_scale": 0.2, NOISE: 1.1e-6},
}
# Log-normal priors around START, as deviations of the logarithm: ten years tell next to nothing about a drift or a
# season, and without a prior the fit takes luck for law. 0 holds a parameter where it starts: a walk needs no noise.
PRIOR: dict[str, dict[str, float]] = {
    "walk": {"drift": 0.5, "season": 0.5, "season_scale": 0.3, NOISE: 0.0},
}


def covariance(variant: str) -> Covariance:
    """The covariance function of `variant`. Raises KeyError for a name that is not in START."""
    return {"rbf_white": _rbf, "matern_white": _matern, "walk": _walk}[variant]


def matrix(variant: str, a: tf.Tensor, b: tf.Tensor, hyper: Hyper) -> tf.Tensor:
    """Covariances [n, m] of points a [n, 2] and b [m, 2]."""
    return covariance(variant)(a[:, None, :], b[None, :, :], hyper)


def _rbf(a: tf.Tensor, b: tf.Tensor, hyper: Hyper) -> tf.Tensor:
    import tensorflow as tf

    years = (a[..., 0] - b[..., 0]) / hyper["year_scale"]
    days = (a[..., 1] - b[..., 1]) / hyper["day_scale"]
    return hyper["variance"] * tf.exp(-0.5 * (years**2 + days**2))


def _matern(a: tf.Tensor, b: tf.Tensor, hyper: Hyper) -> tf.Tensor:
    import tensorflow as tf

    years = (a[..., 0] - b[..., 0]) / hyper["year_scale"]
    days = (a[..., 1] - b[..., 1]) / hyper["day_scale"]
    # The gradient of a root is infinite at 0, where the points coincide.
    return hyper["variance"] * tf.exp(-tf.sqrt(tf.maximum(years**2 + days**2, 1e-30)))


def _walk(a: tf.Tensor, b: tf.Tensor, hyper: Hyper) -> tf.Tensor:
    import tensorflow as tf

    u, v = a[..., 1], b[..., 1]
    same_year = tf.cast(tf.equal(a[..., 0], b[..., 0]), u.dtype)
    scale = -0.5 / hyper["season_scale"] ** 2
    season = tf.exp(scale * (u - v) ** 2) - tf.exp(scale * (u**2 + v**2))
    return hyper["walk"] * same_year * tf.minimum(u, v) + hyper["drift"] * u * v + hyper["season"] * season


def condition(
    variant: str, hyper: Hyper, known: tf.Tensor, values: tf.Tensor, mask: tf.Tensor, wanted: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and variance [m] of observations at `wanted` [m, 2], given `values` [n] at `known` [n, 2] where `mask`.

    Rasmussen and Williams (2006), algorithm 2.1. A masked point is made independent of all others, which is the
    same as leaving it out and keeps the shapes. The variance includes the noise.
    """
    import tensorflow as tf

    weight = tf.cast(mask, known.dtype)
    prior = matrix(variant, known, known, hyper) * weight[:, None] * weight[None, :]
    diagonal = hyper[NOISE] * weight + (1 - weight)
    factor = tf.linalg.cholesky(prior + tf.linalg.diag(diagonal + 1e-10))
    cross = matrix(variant, known, wanted, hyper) * weight[:, None]
    solved = tf.linalg.triangular_solve(factor, cross)
    rest = tf.linalg.triangular_solve(factor, (values * weight)[:, None])
    mean = tf.linalg.matvec(solved, rest[:, 0], transpose_a=True)
    variance = covariance(variant)(wanted, wanted, hyper) - tf.reduce_sum(solved**2, axis=0) + hyper[NOISE]
    return mean, tf.maximum(variance, hyper[NOISE])


def gpflow_model(variant: str, points: Any, values: Any, start: Mapping[str, float]) -> Any:
    """A GPflow GPR of `variant` on points [n, 2] and values [n], its hyper-parameters at `start`."""
    import gpflow
    import numpy as np
    import tensorflow_probability as tfp

    class Curve(gpflow.kernels.Kernel):
        def __init__(self) -> None:
            super().__init__()
            # The search moves logarithms: hyper-parameters range over decades.
            logarithm = tfp.bijectors.Exp()
            self.hyper = {
                name: gpflow.Parameter(start[name], transform=logarithm, prior=_prior(variant, name))
                for name in START[variant]
                if name != NOISE
            }

        def K(self, X: tf.Tensor, X2: tf.Tensor | None = None) -> tf.Tensor:
            return matrix(variant, X, X if X2 is None else X2, self.hyper)

        def K_diag(self, X: tf.Tensor) -> tf.Tensor:
            return covariance(variant)(X, X, self.hyper)

    data = (np.asarray(points, np.float64), np.asarray(values, np.float64)[:, None])
    model = gpflow.models.GPR(data, Curve(), noise_variance=max(start[NOISE], 1.1e-6))
    if PRIOR.get(variant, {}).get(NOISE) == 0.0:
        gpflow.set_trainable(model.likelihood.variance, False)
    return model


def _prior(variant: str, name: str) -> Any:
    import numpy as np
    import tensorflow_probability as tfp

    deviation = PRIOR.get(variant, {}).get(name)
    centre = np.log(START[variant][name])
    return tfp.distributions.LogNormal(np.float64(centre), np.float64(deviation)) if deviation else None


def fit(
    variant: str, points: Any, values: Any, start: Mapping[str, float] | None = None, steps: int = 60
) -> tuple[dict[str, float], float]:
    """Hyper-parameters that maximise the marginal likelihood of `values`, and that likelihood's logarithm.

    `start` warm-starts the search (the year before is a good guess). L-BFGS, at most `steps` iterations.
    """
    import gpflow

    model = gpflow_model(variant, points, values, start or START[variant])
    gpflow.optimizers.Scipy().minimize(
        model.training_loss, model.trainable_variables, options={"maxiter": steps}
    )
    fitted = {name: float(parameter.numpy()) for name, parameter in model.kernel.hyper.items()}
    return {**fitted, NOISE: float(model.likelihood.variance.numpy())}, float(
        model.log_marginal_likelihood().numpy()
    )
