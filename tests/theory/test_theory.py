"""The theory against enumeration in rational numbers, and against printed numbers."""

import inspect
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cqlib import theory
from cqlib.theory import Smoothness

UNIT = Smoothness(L_minus=1.0, L_plus=1.0, L_pm=0.0)


# --- twins: every outcome, in fractions ----------------------------------------------------------


def chance_up(y, rank, n):
    """Return the probability that a threshold (rank + u) / n, u uniform, lies below y."""
    return min(max(n * y - rank, Fraction(0)), Fraction(1))


def enumerated_variance(y, weights):
    """Return the variance of the weighted number of ones, over all ranks and outcomes."""
    n = len(y)
    total = sum(w * v for w, v in zip(weights, y, strict=True))
    variance = Fraction(0)
    for ranks in itertools.permutations(range(n)):
        chances = [chance_up(v, r, n) for v, r in zip(y, ranks, strict=True)]
        for ups in itertools.product((0, 1), repeat=n):
            chance = math.prod(c if up else 1 - c for c, up in zip(chances, ups, strict=True))
            if chance:
                value = sum(w for w, up in zip(weights, ups, strict=True) if up)
                variance += chance * (value - total) ** 2
    return variance / math.factorial(n)


def covariance(y, z, n):
    """Return the covariance of two clients' bits, by the cases of the closed formula."""
    if y > z:
        y, z = z, y
    m, q = math.floor(n * y), math.floor(n * z)
    phi, psi = n * y - m, n * z - q
    both = m + phi if m < q else m + phi * psi
    return (y * z - both / n) / (n - 1)


def pairwise_variance(y, weights):
    """Return the variance of the weighted number of ones, from all pairs of clients."""
    n = len(y)
    own = sum(w**2 * v * (1 - v) for w, v in zip(weights, y, strict=True))
    pairs = itertools.permutations(range(n), 2)
    return own + sum(weights[i] * weights[k] * covariance(y[i], y[k], n) for i, k in pairs)


def per_coordinate(X, norms, variance):
    """Return the MSE of the mean of values +-norm, coordinate by coordinate."""
    n = len(X)
    weights = [2 * r for r in norms]
    total = 0
    for column in zip(*X, strict=True):
        y = [(1 + a / r) / 2 if r else Fraction(1, 2) for a, r in zip(column, norms, strict=True)]
        total += variance(y, weights)
    return total / n**2


# Rows with rational norms, so that every number below is exact.
ROWS = [((3, 4, 0), 5), ((1, 2, -2), 3), ((2, 3, 6), 7), ((0, 0, 0), 0), ((0, -4, 0), 4)]
ROWS += [((-6, 2, 3), 7), ((4, 4, 7), 9), ((0, 3, 4), 5)]


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_mse_against_full_enumeration(n):
    for chosen in itertools.islice(itertools.combinations(ROWS, n), 0, None, 3):
        X = [[Fraction(a) for a in row] for row, _ in chosen]
        norms = [Fraction(r) for _, r in chosen]
        exact = per_coordinate(X, norms, enumerated_variance)
        found = theory.cq_mse(np.array([row for row, _ in chosen], dtype=float))
        assert found == pytest.approx(float(exact), rel=1e-13, abs=1e-13)
        independent = per_coordinate(
            X, norms, lambda y, w: sum(b**2 * v * (1 - v) for v, b in zip(y, w, strict=True))
        )
        found = theory.iq_mse(np.array([row for row, _ in chosen], dtype=float))
        assert found == pytest.approx(float(independent), rel=1e-13, abs=1e-13)


fractions = st.one_of(
    st.fractions(0, 1, max_denominator=60), st.sampled_from([Fraction(0), Fraction(1)])
)


@settings(max_examples=60)
@given(st.lists(fractions, min_size=1, max_size=4))
def test_variance_against_full_enumeration(y):
    n = len(y)
    exact = enumerated_variance(y, [1] * n) / n**2
    assert theory.cq_variance(np.array(y, float)) == pytest.approx(float(exact), abs=1e-15)
    independent = sum(v * (1 - v) for v in y) / n**2
    assert theory.iq_variance(np.array(y, float)) == pytest.approx(float(independent), abs=1e-15)
    if n > 1:
        assert pairwise_variance(y, [1] * n) / n**2 == exact  # both computations agree exactly


@given(fractions, fractions, st.integers(2, 40))
def test_covariance_is_never_positive(y, z, n):
    found = theory.cq_covariance(float(y), float(z), n)
    assert found == pytest.approx(float(covariance(y, z, n)), abs=1e-14)
    assert found <= 1e-15
    assert found == pytest.approx(theory.cq_covariance(float(z), float(y), n), abs=1e-15)


@pytest.mark.parametrize(("n", "d"), [(2, 3), (3, 7), (4, 4), (9, 5), (16, 2), (33, 3)])
def test_mse_against_all_pairs(n, d):
    rng = np.random.default_rng(n)
    for X in (
        rng.standard_normal((n, d)),
        rng.standard_normal((n, d)) * 10.0 ** rng.integers(-4, 5, (n, 1)),
        np.sort(rng.standard_normal((n, d)), axis=0),
        rng.integers(-2, 3, (n, d)).astype(float),
    ):
        # The norms are floats; all else is exact.
        norms = [Fraction(math.sqrt(sum(v * v for v in row))) for row in X.tolist()]
        rows = [[Fraction(v) for v in row] for row in X.tolist()]
        exact = per_coordinate(rows, norms, pairwise_variance)
        assert theory.cq_mse(X) == pytest.approx(float(exact), rel=1e-12)
        assert theory.iq_mse(X) == pytest.approx((d - 1) * (X**2).sum() / n**2, rel=1e-13)


# --- facts ---------------------------------------------------------------------------------------


@given(st.integers(1, 200), fractions)
def test_equal_positions(n, y):
    phi = n * y - math.floor(n * y)
    exact = phi * (1 - phi) / n**2
    found = theory.cq_variance(np.full(n, float(y)))
    assert found == pytest.approx(float(exact), abs=1e-13 / n)
    assert found <= (1 + 1e-9) / (4 * n**2)  # Theorem 1
    assert theory.iq_variance(np.full(n, float(y))) <= (1 + 1e-12) / (4 * n)  # Proposition 3


@pytest.mark.parametrize("n", [1, 2, 3, 10, 101])
def test_theorem_1_is_tight(n):
    for k in {0, n // 2, n - 1}:
        y = np.full(n, (k + 0.5) / n)
        assert theory.cq_variance(y) == pytest.approx(1 / (4 * n**2), rel=1e-10)
    assert theory.iq_variance(np.full(n, 0.5)) == pytest.approx(1 / (4 * n), rel=1e-13)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_cq_is_never_worse_than_iq(y):
    assert theory.cq_variance(np.array(y)) <= theory.iq_variance(np.array(y)) * (1 + 1e-12) + 1e-15


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 10**6), st.integers(0, 4))
def test_the_mean_of_cq_is_never_worse_than_that_of_iq(n, d, seed, power):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) ** (2 * power + 1)
    assert 0 <= theory.cq_mse(X) <= theory.iq_mse(X) * (1 + 1e-12) + 1e-15 * np.sum(X**2)


@pytest.mark.parametrize(("n", "d"), [(1, 5), (2, 4), (3, 4), (16, 16), (64, 30), (1000, 7)])
def test_equal_vectors(n, d):
    a = np.random.default_rng(d).standard_normal(d)
    norm = float(np.linalg.norm(a))
    y = [n * (1 + Fraction(v) / Fraction(norm)) / 2 for v in a.tolist()]
    phi = [v - math.floor(v) for v in y]
    exact = 4 * Fraction(norm) ** 2 / n**2 * sum(p * (1 - p) for p in phi)
    X = np.tile(a, (n, 1))
    assert theory.cq_mse(X) == pytest.approx(float(exact), rel=1e-9)
    assert theory.cq_mse(X) <= d * norm**2 / n**2 * (1 + 1e-12)
    assert theory.iq_mse(X) == pytest.approx((d - 1) * norm**2 / n, rel=1e-12)


def test_equal_vectors_reach_the_homogeneous_constant():
    # a = (1, 1, 1, 1), n = 2: d |a|^2 / n^2 = |a|^2, four times what d / (4 n^2) allows.
    assert theory.cq_mse(np.ones((2, 4))) == 4.0


def test_parity_of_n():
    # For n far below sqrt(d) every coordinate is near the middle of its range. There the number of
    # ones is certain for even n, and one client's bit is random for odd n.
    d = 1024
    a = np.random.default_rng(5).standard_normal(d)
    square, absolute = np.sum(a**2), np.sum(np.abs(a))
    norm = math.sqrt(square)
    for n in (2, 4, 3, 5):
        found = theory.cq_mse(np.tile(a, (n, 1)))
        if n % 2 == 0:
            leading, rest = 2 * norm * absolute / n, square
            assert found < 0.3 * d * square / n**2
        else:
            leading, rest = d * square / n**2, square
            assert found > 0.9 * d * square / n**2
        assert abs(found - leading) <= rest * (1 + 1e-9)
    for n in (2, 4, 6, 100):
        assert theory.cq_variance(np.full(n, 0.5)) == 0
    for n in (1, 3, 5, 101):
        found = theory.cq_variance(np.full(n, 0.5))
        assert found == pytest.approx(1 / (4 * n**2), rel=1e-10)


def test_one_client_is_independent():
    X = np.array([[3.0, -1.0, 0.5]])
    assert theory.cq_mse(X) == pytest.approx(theory.iq_mse(X), rel=1e-13)
    assert theory.cq_variance(np.array([0.3])) == pytest.approx(0.21, rel=1e-13)


def test_zero_rows_are_sent_exactly():
    assert theory.cq_mse(np.zeros((3, 4))) == theory.iq_mse(np.zeros((3, 4))) == 0
    X = np.random.default_rng(6).standard_normal((5, 4))
    X[[1, 3]] = 0
    norms = [Fraction(math.sqrt(sum(v * v for v in row))) for row in X.tolist()]
    rows = [[Fraction(v) for v in row] for row in X.tolist()]
    exact = per_coordinate(rows, norms, enumerated_variance)
    assert theory.cq_mse(X) == pytest.approx(float(exact), rel=1e-12)


def test_positions_at_the_ends_have_no_variance():
    for n in (1, 2, 7):
        for y in (np.zeros(n), np.ones(n), np.arange(n) % 2 * 1.0):
            assert theory.cq_variance(y) == theory.iq_variance(y) == 0
    assert theory.cq_mse(np.diag([1.0, -2.0])[:, :1]) == 0
    one_hot = np.zeros((4, 3))
    one_hot[:, 0] = 2
    # Coordinate 0 is certain; at the middle, the number of ones of four clients is certain, too.
    assert theory.cq_mse(one_hot) == 0
    assert theory.iq_mse(one_hot) == pytest.approx(2 * 4 * 4 / 16)


def test_precision_at_a_thousand_clients():
    # Positions a / 4096: every sum is an integer, so that the variance is known exactly.
    n, unit = 1000, 4096
    for seed, a in enumerate(
        [
            np.random.default_rng(7).integers(0, unit + 1, n),
            np.random.default_rng(8).integers(2000, 2010, n),
            np.full(n, 1357),
        ]
    ):
        own = np.clip(n * a[:, None] - unit * np.arange(n), 0, unit)  # unit times h_i(k)
        mass = own.sum(axis=0)
        pairs = Fraction(int((mass**2).sum()) - int((own**2).sum()), n * unit**2)
        products = Fraction(int(a.sum()) ** 2 - int((a**2).sum()), unit**2)
        single = Fraction(int((a * (unit - a)).sum()), unit**2)
        exact = (single + (products - pairs) / (n - 1)) / n**2
        found = theory.cq_variance(a / unit)
        assert found == pytest.approx(float(exact), rel=1e-9), seed


@pytest.mark.parametrize("function", [theory.cq_mse, theory.iq_mse])
def test_inputs_of_the_mse(function):
    X = np.random.default_rng(9).standard_normal((3, 4)).astype(np.float32)
    expected = function(X.astype(np.float64))
    for same in (X, X.tolist(), torch.from_numpy(X), torch.from_numpy(X).requires_grad_()):
        assert function(same) == expected
    assert isinstance(expected, float)
    for wrong in (np.ones(3), np.ones((1, 2, 3)), np.ones((0, 3)), np.ones((3, 0)), 1.0):
        with pytest.raises(ValueError, match="shape"):
            function(wrong)


# --- complexity ----------------------------------------------------------------------------------


def factor(p, A, d):
    """Return the bits of MARINA over those of gradient descent, written out."""
    c = (d + 32) / (32 * d)
    return (p + (1 - p) * c) * (1 + math.sqrt((1 - p) / p * A))


@given(st.floats(1e-6, 1), st.floats(0, 100), st.integers(1, 10**7))
def test_improvement_factor_at_a_given_p(p, A, d):
    found = theory.improvement_factor(A, d, p=p)
    assert found.p == p
    assert found.factor == pytest.approx(factor(p, A, d), rel=1e-12)


def test_numbers_of_appendix_b2():
    # n = d to infinity, with the paper's constants A = 1/4 for IQ and A = 0 for CQ.
    iq = theory.improvement_factor(0.25, 10**12)
    assert iq.factor == pytest.approx(0.2277298, abs=1e-6)
    assert iq.p == pytest.approx(0.0210541, abs=1e-6)
    d = 10**18
    cq = theory.improvement_factor(1 / (4 * d), d)
    assert cq.factor == pytest.approx(0.03125, abs=1e-6)
    assert theory.improvement_factor(0.0, d).factor == pytest.approx(0.03125, abs=1e-9)
    assert iq.factor / 0.03125 == pytest.approx(7.28735, abs=1e-5)
    # With the valid constants, A = 1 and A = 0: 0.40 and 12.86.
    valid = theory.improvement_factor(1.0, 10**12).factor
    assert valid == pytest.approx(0.4018, abs=5e-5)
    assert valid / 0.03125 == pytest.approx(12.859, abs=5e-4)


TABLE = [  # n = d; IQ, CQ and their ratio for kappa = 1/4 ("paper") and kappa = 1 ("valid")
    (60, 0.2939, 0.0941, 3.12, 0.5072, 0.1270, 3.99),
    (64, 0.2900, 0.0913, 3.18, 0.5012, 0.1230, 4.07),
    (123, 0.2613, 0.0707, 3.70, 0.4558, 0.0926, 4.92),
    (500, 0.2363, 0.0501, 4.72, 0.4156, 0.0613, 6.78),
    (1_000, 0.2320, 0.0451, 5.14, 0.4088, 0.0535, 7.64),
    (10_000, 0.2282, 0.0370, 6.17, 0.4025, 0.0405, 9.94),
    (1_000_000, 0.2277, 0.0324, 7.02, 0.4019, 0.0331, 12.13),
]


@pytest.mark.parametrize(("d", "iq_p", "cq_p", "ratio_p", "iq_v", "cq_v", "ratio_v"), TABLE)
def test_finite_dimensions(d, iq_p, cq_p, ratio_p, iq_v, cq_v, ratio_v):
    n = d
    for kappa, iq, cq, ratio in ((0.25, iq_p, cq_p, ratio_p), (1.0, iq_v, cq_v, ratio_v)):
        found_iq = theory.improvement_factor(kappa * d / n, d).factor
        found_cq = theory.improvement_factor(kappa * d / n**2, d).factor
        # The table has four digits and two decimals; its error is half of the last place.
        assert found_iq == pytest.approx(iq, abs=5.001e-5)
        assert found_cq == pytest.approx(cq, abs=5.001e-5)
        assert found_iq / found_cq == pytest.approx(ratio, abs=5.001e-3)


@pytest.mark.parametrize("d", [2, 10, 123, 10**4, 10**9])
def test_p_is_one_where_noise_is_large(d):
    c = (d + 32) / (32 * d)
    threshold = (1 - c) ** 2 / (4 * c)
    for A in (threshold * 1.001, threshold * 2, 1e6):
        assert theory.improvement_factor(A, d) == (1.0, 1.0)
    below = theory.improvement_factor(threshold * 0.98, d)
    assert below.factor < 1 and below.p < 1
    # At the threshold the interior minimum is at p = c / (1 + c).
    assert below.p == pytest.approx(c / (1 + c), rel=0.05)


@settings(max_examples=30)
@given(
    st.floats(0, 1e3), st.floats(0, 1), st.integers(1, 10**6), st.floats(0.01, 1.5), st.floats(0, 1)
)
def test_no_p_is_better(A, share, d, relative_bits, relative_pm):
    B, bits = A * share, relative_bits * 32 * d
    constants = Smoothness(L_minus=2.0, L_plus=3.0, L_pm=3.0 * relative_pm)
    best = theory.optimal_p(A=A, B=B, d=d, bits=bits, smoothness=constants)
    assert 0 < best.p <= 1 and best.factor <= 1

    def relative(p):
        noise = (A - B) * constants.L_plus**2 + B * constants.L_pm**2
        rounds = constants.L_minus + math.sqrt((1 - p) / p * noise)
        return (32 * d * p + bits * (1 - p)) * rounds / (32 * d * constants.L_minus)

    assert best.factor == pytest.approx(relative(best.p), rel=1e-9)
    for p in [*np.geomspace(1e-9, 1, 60), *np.linspace(0.02, 1, 50)]:
        assert best.factor <= relative(float(p)) * (1 + 1e-6)


def test_smoothness_matters():
    default = theory.optimal_p(A=0.25, d=100, bits=132)
    assert default == theory.optimal_p(A=0.25, d=100, bits=132, smoothness=UNIT)
    rough = Smoothness(L_minus=1.0, L_plus=4.0, L_pm=0.0)
    assert theory.optimal_p(A=0.25, d=100, bits=132, smoothness=rough).factor > default.factor
    scaled = Smoothness(L_minus=5.0, L_plus=5.0, L_pm=0.0)
    same = theory.optimal_p(A=0.25, d=100, bits=132, smoothness=scaled)
    assert same == pytest.approx(default, rel=1e-9)


@pytest.mark.parametrize(
    "wrong",
    [
        {"A": -0.1},
        {"A": math.nan},
        {"B": -0.1},
        {"B": 0.5},
        {"B": math.nan},
        {"d": 0},
        {"d": -3},
        {"bits": -1.0},
        {"bits": math.nan},
    ],
)
def test_optimal_p_refuses_wrong_arguments(wrong):
    arguments = {"A": 0.25, "B": 0.1, "d": 10, "bits": 42.0}
    theory.optimal_p(**arguments)
    with pytest.raises(ValueError, match="A >= B >= 0"):
        theory.optimal_p(**arguments | wrong)


@pytest.mark.parametrize("p", [0.0, -0.1, 1.5, math.nan])
def test_p_is_a_probability(p):
    with pytest.raises(ValueError, match="p must be in"):
        theory.improvement_factor(0.25, 10, p=p)
    with pytest.raises(ValueError, match="p must be in"):
        theory.marina_stepsize(p, 0.25, 0.0, 1.0, 1.0, 1.0)


@given(
    st.floats(1e-6, 1),
    st.floats(0, 100),
    st.floats(0, 1),
    st.floats(0.1, 10),
    st.floats(0, 10),
    st.floats(0, 10),
)
def test_marina_stepsize(p, A, share, L_minus, L_plus, L_pm):
    B = A * share
    noise = (1 - p) / p * ((A - B) * L_plus**2 + B * L_pm**2)
    found = theory.marina_stepsize(p, A, B, L_minus, L_plus, L_pm)
    assert found == pytest.approx(1 / (L_minus + math.sqrt(noise)), rel=1e-12)
    assert found <= theory.gd_stepsize(L_minus) == 1 / L_minus


def test_marina_stepsize_by_hand():
    # p = 1/5: (1 - p) / p = 4. (A - B) L_plus^2 + B L_pm^2 = 2 * 9 + 1 * 7 = 25.
    assert theory.marina_stepsize(0.2, 3.0, 1.0, 2.0, 3.0, math.sqrt(7)) == pytest.approx(1 / 12)


@pytest.mark.parametrize(
    "wrong",
    [
        {"A": -1.0},
        {"B": 2.0},
        {"B": -1.0},
        {"L_minus": 0.0},
        {"L_minus": -1.0},
        {"L_minus": math.nan},
        {"L_plus": -1.0},
        {"L_pm": -1.0},
        {"L_pm": math.nan},
    ],
)
def test_marina_stepsize_refuses_wrong_constants(wrong):
    arguments = {"p": 0.5, "A": 1.0, "B": 0.5, "L_minus": 1.0, "L_plus": 1.0, "L_pm": 1.0}
    theory.marina_stepsize(**arguments)
    with pytest.raises(ValueError, match="need"):
        theory.marina_stepsize(**arguments | wrong)


@pytest.mark.parametrize("L_minus", [0.0, -1.0, math.nan])
def test_gd_stepsize_refuses(L_minus):
    with pytest.raises(ValueError, match="L_minus"):
        theory.gd_stepsize(L_minus)


def test_expected_bits():
    assert theory.expected_bits(1.0, d=10, bits=42) == 320
    assert theory.expected_bits(0.25, d=10, bits=42) == 80 + 0.75 * 42
    for p in (0.1, 0.5):
        d = 123
        expected = 32 * d * p + (d + 32) * (1 - p)
        assert theory.expected_bits(p, d=d, bits=d + 32) == pytest.approx(expected, rel=1e-14)


def test_optimal_p_of_no_compression_is_gradient_descent() -> None:
    assert theory.optimal_p(A=0, d=1000, bits=32000) == (1.0, 1.0)


@pytest.mark.parametrize("A", [math.inf, math.nan])
def test_infinite_constants_are_refused(A: float) -> None:
    with pytest.raises(ValueError, match="A >= B >= 0"):
        theory.optimal_p(A=A, d=10, bits=42)
    with pytest.raises(ValueError, match="A >= B >= 0"):
        theory.marina_stepsize(0.5, A, 0, 1, 1, 1)


def test_extreme_but_finite_arguments() -> None:
    assert theory.optimal_p(A=1e300, d=10, bits=42).p == 1
    assert theory.marina_stepsize(5e-324, 0, 0, 1, 1, 1) == 1
    assert theory.marina_stepsize(0.5, 1, 0, 1e200, 1e200, 1) == pytest.approx(0.5e-200)
    X = np.ones((2, 4))
    for scale in (1e-100, 1e100):
        assert theory.cq_mse(scale * X) == pytest.approx(4 * scale**2)
        assert theory.iq_mse(scale * X) == pytest.approx(6 * scale**2)


@pytest.mark.parametrize("wrong", [[0.5, 2.0], [-0.1], [math.nan], [], [[0.5]]])
def test_positions_outside_their_range_are_refused(wrong: list) -> None:
    for variance in (theory.iq_variance, theory.cq_variance):
        with pytest.raises(ValueError, match=r"numbers in \[0, 1\]"):
            variance(np.array(wrong))


@pytest.mark.parametrize("name", theory.__all__)
def test_every_public_function_documents_its_source_errors_and_an_example(name):
    function = getattr(theory, name)
    if inspect.isfunction(function):
        text = inspect.getdoc(function)
        assert all(word in text for word in ("Args:", "Raises:", "Source:", ">>> "))
