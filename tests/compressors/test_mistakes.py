"""Mistakes in the code of a compressor are errors that name the compressor and the mistake."""

from typing import ClassVar

import numpy as np
import pytest
import torch

from cqlib import Key
from cqlib.compressors import Compressor, Facts, Layout, Symbols, make
from cqlib.compressors.checks import check_scales

X = torch.tensor([[1.0, -2.0, 3.0], [-4.0, 5.0, -6.0]])
ALONE = {"client": 1, "n_clients": 2, "key": Key(0)}


class _Signs(Compressor):
    """Signs, and the largest absolute value: a compressor without mistakes but for its name."""

    facts = Facts(unbiased=False, deterministic=True)

    def layout(self, ctx):
        return Layout(alphabet=2, symbols=ctx.d, scales=1)

    def quantize(self, x, ctx):
        return Symbols(x > 0, np.abs(x).max(axis=-1, keepdims=True))

    def dequantize(self, symbols, ctx):
        return np.where(symbols.values, symbols.scales, -symbols.scales)

    def bits(self, d, n):
        return d + 32.0


def define(base=_Signs, **members):
    """Define a subclass with these members."""
    return type(base)("Wrong", (base,), members)


def named(**members):
    """Return a compressor with these members, among them perhaps a mistake."""
    return define(name="wrong", **members)()


def test_without_a_mistake_nothing_is_raised():
    c = named()
    decoded = c.decode(c.encode(X[1], **ALONE), d=X.shape[1], **ALONE)
    assert torch.equal(decoded, torch.tensor([-6.0, 6.0, -6.0]))
    assert torch.equal(c.compress(X, key=Key(0))[1], decoded)


# --- the class -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "members", "lacking"),
    [
        (_Signs, {}, "name"),
        (define(name="complete"), {}, "name"),
        (_Signs, {"name": 3}, "name"),
        (Compressor, {"name": "wrong"}, "bits, dequantize, facts, layout, quantize"),
        (Compressor, {"facts": Facts(True)}, "name, bits, dequantize, layout, quantize"),
    ],
)
def test_missing_members_are_named(base, members, lacking):
    with pytest.raises(TypeError, match=rf"Wrong lacks {lacking}; .* name it _Wrong"):
        define(base, **members)


def test_bases_may_lack_members():
    class _Private(Compressor): ...

    class Public(Compressor, abstract=True): ...

    for base in (_Private, Public):
        with pytest.raises(TypeError, match="lacks name, bits"):
            define(base)


@pytest.mark.parametrize("member", ["name", "facts"])
@pytest.mark.parametrize("kind", [Facts, "Facts", str])
def test_annotated_members_are_refused(member, kind):
    with pytest.raises(TypeError, match=f"Wrong may not annotate {member}: .* an option"):
        named(__annotations__={member: kind})


@pytest.mark.parametrize("kind", [ClassVar[Facts], "ClassVar[Facts]"])
def test_variables_of_the_class_may_be_annotated(kind):
    assert named(__annotations__={"facts": kind}).unbiased is False


@pytest.mark.parametrize(
    "member",
    "unbiased joint ab encode decode compress mean mean_of_received statistic tag".split(),
)
def test_final_members_may_not_be_overridden(member):
    told = rf"Wrong may not override {member}, final in Compressor"
    with pytest.raises(TypeError, match=told):
        named(**{member: None})
    with pytest.raises(TypeError, match=told):
        named(__annotations__={member: float})
    mixin = type("Mixin", (), {member: None})
    with pytest.raises(TypeError, match=told):
        type(_Signs)("Wrong", (mixin, _Signs), {"name": "wrong"})


# --- symbols and scales --------------------------------------------------------------------------


def sends(values=None, scales=None, layout=None):
    """Return a compressor that sends other symbols or scales: functions of the right ones."""

    def quantize(self, x, ctx):
        right = _Signs.quantize(self, x, ctx)
        return Symbols(
            right.values if values is None else values(right.values),
            right.scales if scales is None else scales(right.scales),
        )

    return named(quantize=quantize, **({} if layout is None else {"layout": layout}))


def with_nan(scales):
    scales[-1] = np.nan
    return scales


OF_SHAPE = r"must have shape \({}, {}\) by the layout, got"
WRONG = {
    "shorter layout": (
        sends(layout=lambda self, ctx: Layout(2, ctx.d - 1, 1)),
        TypeError,
        "wrong: symbols " + OF_SHAPE.format("[12]", 2) + r" \([12], 3\)",
    ),
    "longer layout": (
        sends(layout=lambda self, ctx: Layout(2, np.full(len(ctx.clients), 4), 1)),
        TypeError,
        "wrong: symbols " + OF_SHAPE.format("[12]", 4) + r" \([12], 3\)",
    ),
    "fewer rows": (sends(lambda v: v[..., 0, :]), TypeError, r"wrong: symbols must .*got \(3,\)"),
    "beyond the alphabet": (
        sends(lambda v: v + 1),
        ValueError,
        r"wrong: symbols must be in \[0, 2\), got 2",
    ),
    "negative": (
        sends(lambda v: v.astype(np.int64) - 1),
        ValueError,
        r"wrong: symbols must be in \[0, 2\), got -1",
    ),
    "floats": (
        sends(lambda v: v.astype(np.float32)),
        TypeError,
        "wrong: symbols must be integers or booleans, got float32",
    ),
    "NaN": (sends(scales=with_nan), ValueError, "client 1: a scale of wrong is NaN"),
    "too large": (
        sends(scales=lambda s: s / np.float32(0)),
        ValueError,
        "client [01]: .*too large",
    ),
    "one axis": (
        sends(scales=lambda s: s[..., 0]),
        TypeError,
        "wrong: scales " + OF_SHAPE.format("[12]", 1) + r" \([12],\)",
    ),
    "two scales": (
        sends(scales=lambda s: np.concatenate([s, s], axis=-1)),
        TypeError,
        "wrong: scales " + OF_SHAPE.format("[12]", 1) + r" \([12], 2\)",
    ),
    "float64": (
        sends(scales=lambda s: s.astype(np.float64)),
        TypeError,
        "wrong: scales must be float32, got float64",
    ),
}


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("mistake", WRONG)
def test_wrong_symbols_are_refused(mistake):
    c, error, told = WRONG[mistake]
    for call in (
        lambda: c.encode(X[1], **ALONE),
        lambda: c.compress(X, key=Key(0)),
        lambda: c.mean(X, key=Key(0)),
    ):
        with pytest.raises(error, match=told):
            call()


def test_scales_of_one_axis_are_refused_by_their_check():
    with pytest.raises(TypeError, match=r"a scale must have shape .*, got \(2,\)"):
        check_scales(np.ones(2), np.arange(2))


def test_shorter_messages_may_be_padded():
    def layout(self, ctx):
        return Layout(2, ctx.d - ctx.clients, 1)

    def dequantize(self, symbols, ctx):
        short = ctx.d - symbols.values.shape[-1]
        values = np.pad(symbols.values, [(0, 0)] * (symbols.values.ndim - 1) + [(0, short)])
        return _Signs.dequantize(self, Symbols(values, symbols.scales), ctx)

    c = named(layout=layout, dequantize=dequantize)
    assert torch.equal(
        c.decode(c.encode(X[1], **ALONE), d=X.shape[1], **ALONE), torch.tensor([-6.0, 6, -6])
    )
    assert c.compress(X, key=Key(0)).shape == X.shape


# --- decoded vectors -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda values: values[..., :-1], r"float32 of shape \([12], 2\)"),
        (lambda values: values[..., 0], r"float32 of shape \([12],\)"),
        (lambda values: values.astype(np.float64), r"float64 of shape \([12], 3\)"),
    ],
)
def test_wrong_decoded_vectors_are_refused(change, found):
    c = named(dequantize=lambda self, symbols, ctx: change(_Signs.dequantize(self, symbols, ctx)))
    payload = c.encode(X[1], **ALONE)
    told = rf"wrong: dequantize must return float32 of shape \([12], 3\), got {found}"
    for call in (
        lambda: c.decode(payload, d=payload.d, **ALONE),
        lambda: c.mean_of_received({1: payload}, d=3, n_clients=2, key=Key(0)),
        lambda: c.compress(X, key=Key(0)),
    ):
        with pytest.raises(TypeError, match=told):
            call()


WRONG_VECTORS = {
    "meta": lambda: X[0].to("meta"),
    "sparse": lambda: X[0].to_sparse(),
    "integers": lambda: X[0].int(),
    "array": lambda: X[0].numpy(),
}


@pytest.mark.parametrize("name", WRONG_VECTORS)
def test_a_wrong_vector_is_a_value_error(name):
    c, x = make("cq"), WRONG_VECTORS[name]()
    with pytest.raises(ValueError):
        c.encode(x, **ALONE)
    for call in (c.mean, c.compress):
        with pytest.raises(ValueError):
            call(x[None], key=Key(0))


def test_a_negating_view_is_a_usual_vector():
    c, view = make("cq"), torch.conj(torch.complex(X, X)).imag
    assert view.is_neg()
    for call in (c.mean, c.compress):
        assert torch.equal(call(view, key=Key(0)), call(-X, key=Key(0)))
    assert c.encode(view[1], **ALONE).to_bytes() == c.encode(-X[1], **ALONE).to_bytes()


def test_a_wrong_key_or_payload_is_a_value_error():
    c = make("cq")
    payload, bare = c.encode(X[1], **ALONE), {"client": 1, "n_clients": 2}
    for call in (
        lambda: c.encode(X[1], **bare, key=7),
        lambda: c.decode(payload, d=3, **bare, key=7),
        lambda: c.mean_of_received({1: payload}, d=3, n_clients=2, key=7),
        lambda: c.mean(X, key=7),
        lambda: c.compress(X, key=7),
    ):
        with pytest.raises(ValueError, match="key must be a Key, got 7"):
            call()
    with pytest.raises(ValueError, match=r"expected a Payload, .* got bytes"):
        c.decode(b"abc", d=3, **ALONE)
    with pytest.raises(ValueError, match="expected payloads by client id, got list"):
        c.mean_of_received([payload], d=3, n_clients=2, key=Key(0))


def test_a_limit_beyond_every_float_is_no_limit():
    c = make("cq")
    payload = c.encode(X[1], **ALONE)
    assert len(c.decode(payload, d=3, **ALONE, max_norm=10**400)) == 3
