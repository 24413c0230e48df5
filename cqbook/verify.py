"""Exact verdicts again, in fractions, with nothing but the standard library.

Each function of `CHECKS` stands for one item of the ledger, and its docstring for the statement. It
computes both sides, raises `Refuted` unless the ledger's verdict follows, and returns the finding.
Nothing here uses the package's compressors, theory or evidence: this file can be read alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction as F
from itertools import permutations, product

Vector = Sequence[F]


class Refuted(AssertionError):
    """The computation does not support the verdict."""


def need(holds: bool, about: str) -> None:
    """Raise unless a condition holds."""
    if not holds:
        raise Refuted(about)


def squared(a: Vector) -> F:
    """Return the squared Euclidean norm."""
    return sum((v * v for v in a), F(0))


def norm(a: Vector) -> F:
    """Return the Euclidean norm of a vector with a rational one."""
    square = squared(a)
    root = F(math.isqrt(square.numerator), math.isqrt(square.denominator))
    need(root * root == square, f"{a} has no rational norm")
    return root


def mean_of(vectors: Sequence[Vector]) -> list[F]:
    """Return the mean of vectors."""
    return [sum(column, F(0)) / len(vectors) for column in zip(*vectors, strict=True)]


# --- laws of the quantizers ----------------------------------------------------------------------


def coordinate(values: Vector, ranges: Vector, chances: Vector) -> F:
    """Return the squared error of the mean of independent bits of given chances, decoded as +-c."""
    n = len(values)
    each = list(zip(values, ranges, chances, strict=True))
    spread = sum((4 * c * c * q * (1 - q) for _, c, q in each), F(0))
    bias = sum((c * (2 * q - 1) - a for a, c, q in each), F(0))
    return (spread + bias * bias) / (n * n)


def iq_error(X: Sequence[Vector]) -> F:
    """Return the error of the mean with IQ: each bit is 1 with probability (1 + a / |a|) / 2."""
    ranges = [norm(a) for a in X]
    return sum(
        (
            coordinate(c, ranges, [(1 + v / r) / 2 for v, r in zip(c, ranges, strict=True)])
            for c in zip(*X, strict=True)
        ),
        F(0),
    )


def cq_chances(shares: Vector) -> Iterator[list[F]]:
    """Yield each permutation's chances that the thresholds lie below the shares.

    Client i's threshold is uniform in the cell [k / n, (k + 1) / n), k its place in a random order.
    """
    n = len(shares)
    for places in permutations(range(n)):
        yield [min(max(n * y - k, F(0)), F(1)) for y, k in zip(shares, places, strict=True)]


def cq_error(X: Sequence[Vector]) -> F:
    """Return the error of the mean with CQ, over all orders of the clients in every coordinate."""
    ranges, total = [norm(a) for a in X], F(0)
    for c in zip(*X, strict=True):
        shares = [(1 + v / r) / 2 for v, r in zip(c, ranges, strict=True)]
        errors = [coordinate(c, ranges, chances) for chances in cq_chances(shares)]
        total += sum(errors, F(0)) / len(errors)
    return total


def steps(q: F) -> F:
    """Return the fractional part times one minus it."""
    part = q - math.floor(q)
    return part * (1 - part)


def grid(parts: int) -> list[F]:
    """Return the fractions from 0 to 1 with this denominator."""
    return [F(k, parts) for k in range(parts + 1)]


ONES = [F(1)] * 4  # of norm 2
CASES = [  # vectors with rational norms
    [[F(3), F(4)], [F(4), F(-3)]],
    [[F(1), F(2), F(2)], [F(2), F(1), F(-2)], [F(-2), F(2), F(1)]],
    [ONES, [F(-1), F(1), F(1), F(-1)], [F(2), F(0), F(0), F(0)]],
]


# --- the paper -----------------------------------------------------------------------------------


def proposition_3() -> str:
    """Mean squared error of one-dimensional IQ of n equal numbers: at most (r - l)^2/(4n)."""
    for n in (1, 2, 5):
        # Ends -1 and 1: the bits of n equal numbers 2 y - 1, independent and of chance y.
        errors = [coordinate([2 * y - 1] * n, [F(1)] * n, [y] * n) for y in grid(240)]
        need(max(errors) == errors[120] == F(4, 4 * n), f"another largest error for {n=}")
    return "largest error (r - l)^2/(4n), attained in the middle, for n = 1, 2, 5 and y = k/240"


def theorem_1() -> str:
    """One-dimensional CQ is unbiased; its error for equal numbers is at most (r - l)^2/(4 n^2)."""
    for n in range(1, 6):
        for y in grid(24):
            found = [sum(chances) for chances in cq_chances([y] * n)]
            need(sum(found, F(0)) / len(found) == n * y, f"biased at {n=}, {y=}")
            inputs, ranges = [2 * y - 1] * n, [F(1)] * n
            errors = [coordinate(inputs, ranges, q) for q in cq_chances([y] * n)]
            error = sum(errors, F(0)) / len(errors)
            need(error == 4 * steps(n * y) / n**2, f"not the formula at {n=}, {y=}")
    return "(r - l)^2 phi (1 - phi)/n^2, phi the fractional part of ny, for n <= 5 and y = k/24"


def corollary_1() -> str:
    """Error of IQ for equal vectors: at most d |a|^2/(4n)."""
    for X in CASES:
        n, d = len(X), len(X[0])
        need(iq_error(X) == F(d - 1, n) * sum(map(squared, X)) / n, f"not (d - 1)/n for {X}")
    error, stated = iq_error([ONES] * 2), F(4, 4 * 2) * squared(ONES)
    need(error > stated, "the stated bound holds")
    return f"n = 2, a = (1, 1, 1, 1): error {error}, stated at most {stated}; always (d - 1)/n"


def corollary_2() -> str:
    """Error of CQ for equal vectors: at most d |a|^2/(4 n^2)."""
    for n in (1, 2, 3, 4):
        for a in (ONES, [F(3), F(4)], [F(2), F(1), F(-2)]):
            formula = 4 * squared(a) / n**2 * sum(steps(F(n, 2) * (1 + v / norm(a))) for v in a)
            need(cq_error([a] * n) == formula <= F(len(a), n**2) * squared(a), f"{n=}, {a}")
    error, stated = cq_error([ONES] * 2), F(4, 4 * 2**2) * squared(ONES)
    need(error > stated, "the stated bound holds")
    return f"n = 2, a = (1, 1, 1, 1): error {error}, stated at most {stated}; always <= d/n^2 |a|^2"


def corollary_3() -> str:
    """Error of PermK+CQ for equal vectors: at most b d |a|^2/(4 n^2)."""
    # Two blocks: two of four clients run CQ on each half of the coordinates of eight ones.
    error, square = 2 * cq_error([ONES] * 2), F(8)
    stated = F(2 * 8, 4 * 4**2) * square
    need(error == square > stated, "the stated bound holds")
    return f"n = 4, d = 8, b = 2, ones: error {error}, stated at most {stated}; b d/n^2 is attained"


def proposition_1() -> str:
    """Unbiased compressors have (A, B) = (omega + 1, 1); independent ones (omega/n, 0)."""
    # Two clients keep one of two coordinates, doubled (omega = 1): the same one, or own ones.
    for X in (CASES[0], [[F(1), F(0)], [F(1), F(0)]], [[F(1), F(2)], [F(-1), F(3)]]):
        bar, mean = mean_of(X), sum(map(squared, X)) / 2
        errors = {True: F(0), False: F(0)}
        for i, j in product(range(2), repeat=2):
            kept = [
                [2 * v if k == m else F(0) for k, v in enumerate(a)]
                for m, a in zip((i, j), X, strict=True)
            ]
            error = squared([u - v for u, v in zip(mean_of(kept), bar, strict=True)])
            errors[False] += error / 4
            errors[True] += error / 2 if i == j else 0
        need(errors[True] == squared(bar) <= 2 * mean - squared(bar), f"shared choice, {X}")
        need(errors[False] == mean / 2, f"own choices, {X}")
    return "keeping one of two coordinates, omega = 1: shared within (2, 1), own exactly (1/2, 0)"


def finding_12() -> str:
    """Whatever the dependence, unbiased compressors have (A, B) = (omega, 0)."""
    for X in (CASES[0], [[F(1), F(0)], [F(1), F(0)]], [[F(1), F(2)], [F(-1), F(3)]]):
        # The shared choice of proposition_1, omega = 1: its error is |mean|^2.
        need(squared(mean_of(X)) <= sum(map(squared, X)) / 2, f"above (1, 0) for {X}")
    need(squared(mean_of([ONES, ONES])) == squared(ONES), "equal inputs do not attain it")
    return "a shared choice of one of two coordinates, omega = 1: error |mean|^2 <= mean |a_i|^2"


def lemma_4() -> str:
    """ISCC has A = omega + 1 and B = 1 with weights q_i; sampling alone has A = B = 1."""
    for X in CASES:
        n, d, bar = len(X), len(X[0]), mean_of(X)
        q = [F(i + 1, n * (n + 1) // 2) for i in range(n)]
        square = sum(squared(a) / (n * n * w) for a, w in zip(X, q, strict=True))
        sampled = [[v / (n * w) for v in a] for a, w in zip(X, q, strict=True)]
        plain = sum(
            w * squared([u - m for u, m in zip(s, bar, strict=True)])
            for w, s in zip(q, sampled, strict=True)
        )
        need(plain == square - squared(bar), f"equation (4) for {X}")
        # IQ of the client that is drawn adds omega = d - 1 times the square of what it sends.
        noise = sum(w * (d - 1) * squared(s) for w, s in zip(q, sampled, strict=True))
        need(plain + noise == d * square - squared(bar), f"Lemma 4 for {X}")
    return "sampling: A = B = 1; with IQ inside, A = omega + 1 = d and B = 1: equality in 3 cases"


def proposition_4() -> str:
    """min{d, 1 + d/n} floats with CQ, up to a constant 2 Delta0 L/eps^2 (as quoted)."""
    rows, ratios = [], []
    for n, d in ((64, 64), (10**4, 10**4), (10**6, 10**6)):
        least = min(
            F(d), F(d + 32, 32)
        )  # every round costs a message of d + 32 bits, or a whole one
        quoted = min(F(d), 1 + F(d, n))
        need(least > quoted, f"the quoted rate is possible at {n=}, {d=}")
        ratios.append(least / quoted)
        rows.append(f"n = d = {n}: at least {float(least):g} floats, quoted {quoted}")
    # With n = d it is (d + 32)/64, beyond every constant.
    need(ratios == [F(d + 32, 64) for d in (64, 10**4, 10**6)], "the ratio stays bounded")
    return "; ".join(rows)


def quartic(u: F, root_A: F, c: F) -> F:
    """Return the derivative of IF by u, times (1 + u^2)^2: its larger root is the best u."""
    return c * root_A * u**4 - (1 - 3 * c) * root_A * u**2 - 2 * (1 - c) * u + root_A


def least_factor(root_A: F, c: F) -> F:
    """Return IF at the larger root of the quartic, which is enclosed by bisection to 1e-12."""
    low, high = F(1), F(64)
    need(quartic(low, root_A, c) < 0 < quartic(high, root_A, c), "no root between 1 and 64")
    while high - low > F(1, 10**12):
        middle = (low + high) / 2
        middle = F(round(middle * 10**14), 10**14)
        low, high = (middle, high) if quartic(middle, root_A, c) < 0 else (low, middle)
    return (1 + c * low**2) * (1 + low * root_A) / (1 + low**2)


def number_0_23() -> str:
    """At n = d IQ needs about 0.23 times the bits of gradient descent."""
    read, valid = (least_factor(root, F(1, 32)) for root in (F(1, 2), F(1)))
    need(round(read, 2) == F(23, 100) and round(valid, 2) == F(40, 100), "other numbers")
    return f"A = 1/4: {float(read):.7f}; A = 1: {float(valid):.7f}"


def number_7_29() -> str:
    """At n = d correlation makes MARINA about 7.29 times cheaper."""
    read, valid = (32 * least_factor(root, F(1, 32)) for root in (F(1, 2), F(1)))
    need(round(read, 2) == F(729, 100) and round(valid, 2) == F(1286, 100), "other numbers")
    # The ratio grows with A: which A give a ratio that rounds to 7.29?
    edges = []
    for ratio in (F(7285, 1000), F(7295, 1000)):
        low, high = F(4, 10), F(6, 10)
        while high - low > F(1, 10**6):
            middle = (low + high) / 2
            below = 32 * least_factor(middle, F(1, 32)) < ratio
            low, high = (middle, high) if below else (low, middle)
        edges.append(float(low) ** 2)
    need(edges[0] < 0.25 < edges[1] and edges[1] - edges[0] < 0.001, "A is not pinned")
    return (
        f"A = 1/4: {float(read):.5f}; A = 1: {float(valid):.5f}; a ratio that rounds to 7.29 has A "
        f"between {edges[0]:.4f} and {edges[1]:.4f}"
    )


def figure_4() -> str:
    """A quantizer is worse than gradient descent above a threshold of A."""
    for c in (F(1, 32), F(1, 8), F(1, 2)):
        largest = (1 - c) ** 2 / (4 * c)
        for k in range(1, 400):
            p = F(k, 400)
            s = p + (1 - p) * c
            # IF(p) < 1 says sqrt((1 - p) A / p) < (1 - s)/s: A below this.
            need(p * (1 - s) ** 2 / ((1 - p) * s**2) <= largest, f"above A* at {c=}, {p=}")
        p = c / (1 + c)
        s = p + (1 - p) * c
        need(p * (1 - s) ** 2 / ((1 - p) * s**2) == largest, f"A* is not attained, {c=}")
    return "IF(p) < 1 for some p if and only if A < (1 - c)^2/(4c): attained at p = c/(1 + c)"


def sentence_lower_error() -> str:
    """CQ has a lower error than its competitors in Table 2."""
    n, d = 16, 64
    cq, terngrad = F(d, n**2), F(math.isqrt(d) - 1, 2 * n)
    need(cq > terngrad, "CQ is lower")
    # TernGrad's worst case: one entry 1, all others t; the error is the sum of t(1 - t) over n.
    t = F(1, math.isqrt(d) + 1)
    attained = (d - 1) * t * (1 - t) / n / (1 + (d - 1) * t**2)
    need(attained == terngrad, "TernGrad's bound is not attained")
    return f"n = {n}, d = {d}: worst errors CQ {cq}, TernGrad {terngrad}, which is attained"


# --- Global-QSGD ---------------------------------------------------------------------------------


def global_linear() -> str:
    """theta = sqrt(d)/(ns) with s linear levels (as noted)."""
    n = d = 4  # all entries 1: the norm of all is 4, s = 1
    error = F(16, n**2) * n * d * F(1, 4) * F(3, 4)
    theta, noted, valid = error * n / (n * d), F(2, n), F(4, n)
    need(noted < theta <= valid, "the noted bound holds")
    return f"n = d = 4, s = 1, ones: theta = {theta}, noted {noted}, with the root of nd {valid}"


def global_exponential() -> str:
    """theta = 1/(8n) + sqrt(d)/(n 2^(s-1)) with s exponential levels (as noted)."""
    n = d = 16  # all entries 1: the norm of all is 16, the levels with s = 3 are 0, 1/4, 1/2, 1
    y, level, s = F(1, 16), F(1, 4), 3
    error = F(16**2, n**2) * n * d * y * (level - y)
    theta = error * n / (n * d)
    noted = F(1, 8 * n) + F(4, n * 2 ** (s - 1))
    valid = F(1, 8 * n) + F(16, n * 2 ** (s - 1))
    need(noted < theta <= valid, "the noted bound holds")
    return f"n = d = 16, s = 3, ones: theta = {theta}, noted {noted}, with the root of nd {valid}"


def global_nonzeros() -> str:
    """At most 2^(2s-2) + sqrt(nd) nonzeros with s exponential levels (as noted)."""
    n, d, s = 8, 8, 2  # all entries 1: the norm of all is 8, the smallest level 1/2
    count = n * d * F(1, 8) / F(1, 2)
    noted, valid = F(2 ** (2 * s - 2) + 8), F(2 ** (s - 1) * 8)
    need(noted < count <= valid, "the noted bound holds")
    return f"n = d = 8, s = 2, ones: {count} nonzeros expected, noted at most {noted}"


def added(one: dict[F, F], other: dict[F, F]) -> dict[F, F]:
    """Return the law of a sum of powers of two that is rounded to a power of two, unbiased."""
    found: dict[F, F] = {}
    for (a, p), (b, q) in product(one.items(), other.items()):
        low = F(2) ** math.floor(math.log2(a + b))
        up = (a + b - low) / low
        for value, chance in ((low, 1 - up), (2 * low, up)):
            found[value] = found.get(value, F(0)) + p * q * chance
    return found


def global_reduction() -> str:
    """A tree of rounded sums multiplies the variance by (9/8)^(log2 n) (as noted)."""
    law, n, told = {F(1, 2): F(1, 2), F(1): F(1, 2)}, 1, []  # 3/4, rounded to 1/2 or 1
    alone = sum(p * (v - F(3, 4)) ** 2 for v, p in law.items())
    for _ in range(3):
        law, n = added(law, law), 2 * n
        error = sum(p * (v / n - F(3, 4)) ** 2 for v, p in law.items())
        need(error == alone > F(9, 8) ** (n.bit_length() - 1) * alone / n, f"{n=}")
        told.append(f"{error} for n = {n}")
    return f"equal numbers 3/4: {', '.join(told)}; one client {alone}, exact sums a 1/n of it"


def global_overflow_linear() -> str:
    """Sums of 127/n levels exceed eight bits."""
    for n in (2, 4, 8):
        # All clients at +M send 127/n, rounded up with the chance of its fractional part; a sum
        # above 127 wraps around. It is above if more than 127 - n floor(127/n) are rounded up.
        part = F(127, n) - 127 // n
        room = 127 - n * (127 // n)
        lost = sum(
            math.comb(n, k) * part**k * (1 - part) ** (n - k) for k in range(room + 1, n + 1)
        )
        need(lost == (1 - F(1, n)) ** n, f"another chance for {n=}")
    return "all clients at +M: the sum wraps around with probability (1 - 1/n)^n, n = 2, 4, 8"


def global_break_even() -> str:
    """A compressed tree is faster below 6 gamma/(omega - 4), 160 GB/s for omega = 79."""
    gamma, omega, rho = F(2 * 10**12), F(79), F(4)
    even = 2 * (rho - 1) * gamma / (omega - rho)
    gains = []  # seconds a byte that a compressed tree saves, below, at and above that bandwidth
    for beta in (even * F(99, 100), even, even * F(101, 100)):
        packed = 2 / (rho * beta) + omega / (rho * gamma)
        gains.append(2 / beta + 1 / gamma - packed)
    need(even == 160 * 10**9 and gains[0] > gains[1] == 0 > gains[2], "another bandwidth")
    return "at 160 GB/s a byte takes the same time both ways; 6 gamma/(omega - 4) = 160 GB/s"


CHECKS: dict[str, Callable[[], str]] = {
    "proposition-1": proposition_1,
    "proposition-3": proposition_3,
    "theorem-1": theorem_1,
    "corollary-1": corollary_1,
    "corollary-2": corollary_2,
    "corollary-3": corollary_3,
    "proposition-4": proposition_4,
    "number-0.23": number_0_23,
    "number-7.29": number_7_29,
    "figure-4": figure_4,
    "lemma-4": lemma_4,
    "appendix-c.2": lemma_4,
    "finding-12": finding_12,
    "sentence-lower-error": sentence_lower_error,
    "global-linear": global_linear,
    "global-exponential": global_exponential,
    "global-nonzeros": global_nonzeros,
    "global-reduction": global_reduction,
    "global-overflow-linear": global_overflow_linear,
    "global-break-even": global_break_even,
}
