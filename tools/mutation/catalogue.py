"""The mutants: a name of the library each, and what goes wrong there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from cqlib.compressors.coders import Integers
from cqlib.compressors.types import Context, Message, Symbols
from cqlib.kernels import reference
from cqlib.kernels.reference import hadamard, packing
from cqlib.keys import Key, Stream
from tools.mutation.changes import Arguments, Change, arguments, result, unrefused

ROUNDING, CPU = "kernels.reference.rounding:", "kernels.cpu:"
NORMS, TAG = "compressors.checks:check_norms", "compressors.wire:tag"
TOP_K = "compressors.top_k:TopK.coder"
ROTATED_SIGNS = "compressors.rotated_signs:RotatedSigns."
UNPACK, PLACES = "kernels.reference:unpack", "kernels.cpu.ranks:places"


class Mutant(NamedTuple):
    """A behaviour of the library that is changed."""

    name: str
    target: str  # in cqlib, as ``module:function`` or ``module:Class.method``
    change: Change
    only: str = ""  # pytest -k, tried before all tests
    backend: str = "reference"


def larger_scales(name: str, **options: str) -> Change:
    """Send scales that are 1 % too large, with these options of a compressor."""

    def new(symbols: Symbols, a: Arguments) -> Symbols:
        c = a.self
        chosen = c.name == name and all(getattr(c, k) == v for k, v in options.items())
        return Symbols(symbols.values, symbols.scales * np.float32(1.01)) if chosen else symbols

    return result(new)


def without_sigma(ranks: Any, a: Arguments) -> Any:
    """Put the clients' ids for their places."""
    n, tile = a.n_clients, np.arange(a.d) // packing.TILE
    places = reference.sigma(a.key, tiles=tile[-1] + 1, clients=a.clients, n_clients=n)
    return (ranks - places.T[:, tile] + np.asarray(a.clients)[:, None]) % n


def other_sigma(a: Arguments) -> Any:
    """Exchange clients 0 and 1."""
    ids = np.asarray(a.clients)
    return np.where((ids < 2) & (a.n_clients > 1), ids ^ 1, ids)


def signs_of_first_chunk(a: Arguments) -> Any:
    """Turn signs so that those of the first chunk come out in every chunk."""
    D, ids = hadamard.rotated_size(a.x.size), np.array([a.client])
    if D <= hadamard.CHUNK:
        return a.x
    (signs,) = reference.signs(a.key.private(Stream.ROTATION, ids), D)
    return a.x * (signs * signs[np.arange(D) % hadamard.CHUNK])[: a.x.size]


def decided_in_float32(codes: Any, a: Arguments) -> Any:
    """Decide as IQ does, in float32 alone."""
    step = np.float32(a.scale) * np.float32(2.0**-30)
    if a.correlated or step < 2.0**-126:
        return codes
    keys = a.key.private(Stream.ROUNDING, np.array([a.client]))
    half_words = reference.stream_words(keys, a.x.size)[0].astype(np.float32) / 2
    return packing.pack_bits(half_words - np.float32(2**30) < a.x.astype(np.float32) / step)


def up_at_ties(signed: Any, a: Arguments) -> Any:
    """Go a level up where the word equals the chance of that."""
    keys = a.key.private(Stream.ROUNDING, np.array([a.client]))
    half_words = reference.stream_words(keys, a.x.size)[0] >> 1
    g = np.floor(np.abs(a.x) / np.float64(a.scale or 1) * (a.levels << 31)).astype(np.int64)
    tie = (half_words == g & 0x7FFFFFFF) & (g >> 31 < a.levels) & (a.scale > 0)
    return signed + np.where(a.x < 0, -1, 1).astype(signed.dtype) * tie


def in_order(a: Arguments) -> Any:
    """Exchange DRIVE+'s centroids where they are in the wrong order, and their bits."""
    values, scales = a.symbols
    if a.self.name != "drive_plus":
        return a.symbols
    wrong = (scales[..., :1] > scales[..., 1:]) & np.ones(values.shape, bool)
    return Symbols(np.where(wrong, values == 0, values), np.sort(scales, axis=-1))


def opened_as_empty(a: Arguments) -> tuple[Message, Context]:
    """Take a payload as it is."""
    ctx = Context(a.payload.d, np.array([a.client]), a.n_clients, a.key)
    return Message(a.payload.codes, a.payload.scales), ctx


def with_padding(alphabet: int, multiple: int) -> Change:
    """Read the padding of this alphabet's last tile as symbols, and drop them."""

    def instead(a: Arguments) -> Any:
        more = -a.count % multiple if a.alphabet == alphabet else 0
        return a.original(a.data, a.count + more, a.alphabet)[: a.count]

    return unrefused("padding", instead)


def whole_alphabet(a: Arguments) -> Any:
    """Return how many symbols the bits of one can tell apart."""
    return a.alphabet if a.alphabet <= 3 else 1 << (a.alphabet - 1).bit_length()


def weight(chosen: Callable[[Any], bool]) -> Change:
    """Return a weight that is 1 % too large, for some options of a compressor."""
    return result(lambda w, a: 1.01 * w if chosen(a.self) else w)


LARGER = result(lambda r, a: np.asarray(r * 1.01).astype(getattr(r, "dtype", float))[()])
WEIGHTS = result(lambda kept, a: kept._replace(weight=1.01 * kept.weight))
TAKEN = unrefused("the norm is zero", lambda a: None)
EQUAL_GOES_UP = arguments(words=lambda a: a.words - 2)  # a word that equals the chance is below it

# fmt: off
MUTANTS = [
    # --- wrong by one percent
    Mutant("one bit: values 1 % too large", "compressors.onebit:OneBit.dequantize", LARGER, "iq"),
    Mutant("cq: values 1 % too large", "compressors.cq:CQ.dequantize", LARGER, "cq"),
    Mutant("cq: levels 1 % too far apart", "compressors.lattice:Lattice.step", LARGER, "cq"),
    Mutant("dithering: values 1 % too large", "compressors.dithering:Dithering.dequantize", LARGER,
           "dithering or terngrad"),
    Mutant("standard dithering: levels 1 % too high", "compressors.spacing:Linear.values", LARGER,
           "dithering"),
    Mutant("natural dithering: levels 1 % too high", "compressors.spacing:Powers.values", LARGER,
           "natural"),
    Mutant("natural compression: powers 1 % too high",
           "compressors.natural_compression:NaturalCompression.dequantize", LARGER, "natural"),
    Mutant("rand_k: weight 1 % too large", "compressors.rand_k:RandK.keep", WEIGHTS,
           "randk or rand_k"),
    Mutant("perm_k: weight 1 % too large", "compressors.perm_k:PermK.keep", WEIGHTS,
           "permk or perm_k"),
    Mutant("permk_cq: b 1 % too large", "compressors.permk_cq:PermKCQ.quantize",
           arguments(x=lambda a: a.x * 1.01), "permkcq or permk_cq"),
    Mutant("drive: S 1 % too large", ROTATED_SIGNS + "quantize",
           larger_scales("drive", scale="unbiased", rotation="uniform"), "drive"),
    Mutant("drive: the scale of least error 1 % too large", ROTATED_SIGNS + "quantize",
           larger_scales("drive", scale="min_error", rotation="uniform"), "drive"),
    Mutant("drive_plus: ratio 1 % too large", ROTATED_SIGNS + "quantize",
           larger_scales("drive_plus", scale="unbiased"), "drive"),
    Mutant("drive: scale 1 % too large", "kernels.reference.hadamard:drive_scale", LARGER, "drive"),
    Mutant("iscc: weight 1 % too large", "compressors.iscc:ISCC._weight",
           weight(lambda c: c.probabilities is None), "iscc"),
    Mutant("iscc: weight from probabilities 1 % too large", "compressors.iscc:ISCC._weight",
           weight(lambda c: c.probabilities is not None), "iscc"),
    Mutant("hadamard: lengths 1 % too large", "kernels.derived.rotation:hadamard_rotate", LARGER,
           "drive or cq or rotat"),
    # --- randomness
    Mutant("shift ranks without sigma", "kernels.reference:shift_ranks", result(without_sigma),
           "ranks or cq"),
    Mutant("clients share their private streams", "keys:Key.private",
           result(lambda r, a: a.original(a.self, a.stream, 0 * np.asarray(a.clients)))),
    Mutant("perm_k: the clients' turns are not permuted", "kernels.reference:permuted_clients",
           result(lambda r, a: np.asarray(a.clients)), "permk or perm_k"),
    Mutant("iscc: each client draws on its own", "compressors.iscc:ISCC._drawn",
           arguments(ctx=lambda a: a.ctx._replace(key=a.ctx.key.fold(a.ctx.clients[0]))), "iscc"),
    Mutant("drive: the server undoes another rotation", ROTATED_SIGNS + "dequantize",
           arguments(ctx=lambda a: a.ctx._replace(clients=0 * a.ctx.clients)), "drive"),
    Mutant("the next round has the same key", "keys:Key.next", result(lambda r, a: a.self)),
    Mutant("parts of a round have the same key", "keys:Key.fold", result(lambda r, a: a.self)),
    # --- rounding
    Mutant("round_linear: one level up", ROUNDING + "round_linear",
           result(lambda r, a: np.minimum(r + 1, a.levels)), "linear or dithering"),
    Mutant("round_exponential: one level down", ROUNDING + "round_exponential",
           result(lambda r, a: np.maximum(r - 1, 0)), "exponential or natural"),
    Mutant("k_level_grid: one level down", ROUNDING + "k_level_grid",
           result(lambda r, a: (np.maximum(r[0] - 1, 0), r[1])), "levels or cq"),
    Mutant("round_independent: <= for <", ROUNDING + "round_independent", EQUAL_GOES_UP, "iq"),
    Mutant("round_correlated: <= for <", ROUNDING + "round_correlated", EQUAL_GOES_UP, "cq"),
    Mutant("round_linear: <= for <", ROUNDING + "round_linear", EQUAL_GOES_UP,
           "linear or dithering"),
    Mutant("round_exponential: <= for <", ROUNDING + "round_exponential", EQUAL_GOES_UP,
           "exponential or natural"),
    # --- bytes
    Mutant("top_k: places of one bit more", TOP_K,
           result(lambda r, a: Integers(r.count, 2 * r.bound)), "topk or top_k"),
    Mutant("top_k: places of one bit more for d a power of two", TOP_K,
           result(lambda r, a: Integers(r.count, r.bound + 1)), "topk or top_k"),
    Mutant("padding of bits is not checked", UNPACK, with_padding(2, 8), "padding"),
    Mutant("padding of trits is not checked", UNPACK, with_padding(3, 5), "padding or trit"),
    Mutant("bytes above 242 are taken for trits", UNPACK,
           arguments(data=lambda a: a.data % 243 if a.alphabet == 3 else a.data), "trit or 242"),
    Mutant("symbols beyond the alphabet are taken", UNPACK, arguments(alphabet=whole_alphabet),
           "symbol or alphabet"),
    # --- refusals
    Mutant("the tag leaves out the client", TAG, arguments(client=lambda a: 0), "another"),
    Mutant("the tag leaves out n", TAG, arguments(n_clients=lambda a: 0), "another"),
    Mutant("the tag leaves out the options", TAG, arguments(c=lambda a: type(a.c)()), "another"),
    Mutant("the tag leaves out d", TAG, arguments(d=lambda a: 0), "another"),
    Mutant("the tag leaves out the key", TAG, arguments(key=lambda a: Key(0)), "another"),
    Mutant("negative norms are taken", NORMS,
           arguments(symbols=lambda a: a.symbols._replace(scales=np.abs(a.symbols.scales))),
           "norm"),
    Mutant("norms below the smallest are taken", NORMS, arguments(smallest=lambda a: 0.0), "norm"),
    Mutant("codes of a zero norm are taken", NORMS, TAKEN, "norm"),
    Mutant("codes of a message's zero norm are taken", "compressors.steps:check_norm", TAKEN,
           "norm"),
    Mutant("drive_plus: centroids in the wrong order are taken", ROTATED_SIGNS + "dequantize",
           arguments(symbols=in_order), "centroid or norm"),
    Mutant("a payload of a silent client is taken", "compressors.wire:opened",
           unrefused("silent in this round", opened_as_empty), "silent"),
    # --- what theory and the papers' tables say
    Mutant("one bit: bits 1 % too many", "compressors.onebit:OneBit.bits", LARGER, "bits"),
    Mutant("one bit: omega 1 % too large", "compressors.onebit:OneBit.omega", LARGER, "omega"),
    Mutant("cq: error of the mean 1 % too large", "theory.mse:cq_mse", LARGER, "mse or cq"),
    Mutant("marina: stepsize 1 % too large", "theory.stepsizes:marina_stepsize", LARGER,
           "stepsize"),
    # --- compiled
    Mutant("compiled cq: sigma is missing", PLACES, result(lambda r, a: 0 * r), "cq", "cpu"),
    Mutant("compiled sigma: two clients change places", PLACES, arguments(clients=other_sigma),
           "cq", "cpu"),
    Mutant("compiled decoding: values 1 % too large", CPU + "decode_one_bit", LARGER, "iq or cq",
           "cpu"),
    Mutant("compiled sum of squares: the last row is left out", CPU + "sums_of_squares",
           arguments(x=lambda a: a.x[..., : max(-(-a.x.shape[-1] // 64) - 1, 1) * 64]),
           "norm or iq", "cpu"),
    Mutant("compiled levels: a word that is equal goes up", CPU + "quantize_levels",
           result(up_at_ties), "dithering or terngrad or levels", "cpu"),
    Mutant("compiled drive: the same signs in every chunk", CPU + "encode_drive",
           arguments(x=signs_of_first_chunk), "drive", "cpu"),
    Mutant("compiled encode: close decisions stay as they are", CPU + "encode_one_bit",
           result(decided_in_float32), "encode or tie", "cpu"),
]
# fmt: on
