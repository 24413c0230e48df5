"""The model of times over slow links: fitted to made-up times, checked on emulated links."""

import numpy as np
import pandas as pd
import pytest

from cqbook import paths
from cqbook.network import link_times, training
from cqbook.network.links import why_not
from cqlib.theory import Link, all_gather_seconds

REASON = why_not()
here = pytest.mark.skipif(bool(REASON), reason=f"no emulated links: {REASON}")
LINK = Link(3e-4, 1.2e7)  # a link of 12.5 MB per second


def made_up(noise):
    """Return times of the model, with noise."""
    rng, rows = np.random.default_rng(0), []
    for scheme in link_times.SCHEMES:
        for n in (2, 4, 8):
            for d in (10_000, 1_000_000):
                own = 1e-3 + 1e-8 * d
                wire = link_times.wire_seconds(scheme, n, d, LINK)
                slow = (own + wire) * np.exp(noise * rng.normal())
                rows.append((scheme, n, d, 0.0, 0, own, own, own, own, own, 2))
                rows.append((scheme, n, d, 1e8, 0, slow, slow, own, own, own, 2))
    return pd.DataFrame(rows, columns=link_times.MEANS)


@pytest.mark.parametrize(("noise", "tolerance"), [(0.0, 1e-9), (0.02, 0.1)])
def test_latency_and_bandwidth_are_found_again(noise, tolerance):
    link = link_times.fit_link(made_up(noise), 1e8)
    assert link.bandwidth == pytest.approx(LINK.bandwidth, rel=tolerance)
    assert link.latency == pytest.approx(LINK.latency, rel=max(5 * tolerance, 1e-9))


def test_predictions_are_those_of_the_model():
    found = link_times.predict(made_up(0.0), {1e8: LINK})
    assert len(found) == 6 * len(link_times.SCHEMES)
    assert np.allclose(found.predicted, found.least, rtol=1e-12)


def test_time_on_the_wire_follows_the_bytes():
    link = Link(0.0, 1.0)
    assert link_times.wire_seconds("float32", 4, 100, link) == 600
    assert link_times.wire_seconds("float16", 4, 100, link) == 300
    gathered = all_gather_seconds(4, 100 / 8 + 4, link)
    assert link_times.wire_seconds("cq/all_gather", 4, 100, link) == gathered
    steps = [link_times.step_wire_seconds(m, 4, 20_000, 9_000, LINK) for m in training.METHODS]
    assert steps[0] == max(steps) and min(steps) > 0


def test_the_saved_measurement_has_all_schemes():
    folder = paths.root() / "benchmarks" / "results"
    means, steps = pd.read_csv(folder / "means.csv"), pd.read_csv(folder / "steps.csv")
    assert set(means.scheme) == set(link_times.SCHEMES) and set(means.rate) == {0.0, 1e8, 1e9}
    assert set(steps.method) == set(training.METHODS) and set(steps.rate) == {0.0, 1e8}
    assert steps.groupby(["dataset", "d"]).ngroups == len(link_times.NETWORKS)
    assert (means.seconds > 0).all() and (steps.seconds > 0).all()
    assert (means.cpu_low <= means.cpu_seconds).all() and (
        means.cpu_seconds <= means.cpu_high
    ).all()


def test_no_saved_mean_is_faster_than_its_bytes():
    means = pd.read_csv(paths.root() / "benchmarks" / "results" / "means.csv")
    slow = means[means.rate > 0]
    cases = slow[["scheme", "n", "d", "rate"]].to_numpy()
    least = [link_times.wire_seconds(w, n, d, Link(0.0, rate / 8)) for w, n, d, rate in cases]
    # An idle link sends one packet without delay, and so does the next one.
    assert (slow.least > np.array(least) - 1e-3).all()
    assert (slow.least > 0.9 * np.array(least)).all()


@here
@pytest.mark.slow
def test_means_over_emulated_links_take_what_the_model_says():
    schemes = ("float32", "float16", "cq/all_gather")
    options = {"schemes": schemes, "repeats": 2}
    measured = link_times.measure_means((2,), (None, 1e8), (2**19,), **options)
    assert (measured.cpu_seconds > 0).all() and (measured.cores >= 1).all()
    link = link_times.fit_link(measured, 1e8)
    assert 0.7 < 8 * link.bandwidth / 1e8 < 1.3  # wide, since other programs are running
    rest = link_times.predict(measured, {1e8: link}).set_index("scheme")
    assert 0.3 < rest.predicted["cq/all_gather"] / rest.seconds["cq/all_gather"] < 3
