"""Parameters of small runs of the notebooks that take minutes with the reference kernels."""

from typing import Any

SHORT: dict[str, Any] = {"decades": 1.0, "seeds": 3, "fresh_seeds": 3, "powers": [-1, 0]}
FEW_ROUNDS = {"fewest_rounds": 4, "most_rounds": 10}
SMALL: dict[str, dict[str, Any]] = {
    "experiments/quadratics": SHORT
    | {"sizes": [[4, 8]], "most_rounds": 40, "linear_sizes": [[4, 8]], "linear_rounds": 8},
    "experiments/permk_cq": SHORT | {"most_rounds": 40},
    "experiments/logistic_regression": SHORT
    | FEW_ROUNDS
    | {"settings": [["breast_cancer", "raw", "n = d", 0.1]], "p_factors": [4.0]},
    "experiments/neural_network": {
        "gd_rounds": 3,
        "seeds": 2,
        "fresh_seeds": 2,
        "powers": [-1, 0],
    },
    "experiments/importance_sampling": SHORT | FEW_ROUNDS | {"sizes": [[4, 8]]},
    "experiments/tuning": SHORT | FEW_ROUNDS | {"n": 8, "d": 8, "p_factors": [0.25, 1.0]},
    "global_qsgd/training": {
        "n_clients": 2,
        "hidden": 8,
        "steps": 10,
        "stepsizes": [0.1, 0.01],
        "evaluate_every": 5,
    },
}
