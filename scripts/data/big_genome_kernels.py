"""The kernels of `scripts.data.big_genome`: a text is written from left to right, from mutated copies of other texts.

Every kernel takes ``state`` (``uint64[1]``), the state of its random numbers, and leaves it where the next one goes on.
All arithmetic that decides a base is on integers or correctly rounded, the logarithm aside.

Kernels write ``out[at:end]`` and return where they ended: ``end``, or less where there was nothing more to write.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from esa.kernels.arrays import Bool, F64Array, Float, I64Array, Int, U8Array, U64Array
from esa.kernels.decorator import njit
from esa.sequence.hashing import GAMMA, splitmix64, uniform

LOW_HALF = np.uint64(0xFFFFFFFF)
INDEL_SHARE = 20
"""One edit in so many is an insertion, one a deletion."""
LONGEST_INDEL = 30


class Stream(NamedTuple):
    """The endless text that lies between repeats: tiles of the real genomes, in a new order each round.

    source: ``uint8``, base codes of all real genomes, without N.
    bounds: ``int64[tiles + 1]``, where they are cut.
    order: ``int64``, the tiles one after the other, all of them in each round.
    low, high: divergence of a copy from its tile.
    """

    source: U8Array
    bounds: I64Array
    order: I64Array
    low: float
    high: float


class Repeats(NamedTuple):
    """Interspersed families; arrays by family, but for the consensuses.

    bases: ``uint8``, consensuses of all subfamilies; ``begin``: ``int64[subfamilies + 1]``, where each begins.
    first: ``int64[families + 1]``, each family's subfamilies.
    whole: share of copies of full length. shortest, tail: the others have the former and exponentially many more.
    anywhere: 1 where a short copy is any part of the consensus, 0 where it is the end (lost 5' ends).
    low, high: divergence of a copy from its subfamily.
    """

    bases: U8Array
    begin: I64Array
    first: I64Array
    whole: F64Array
    shortest: I64Array
    tail: F64Array
    anywhere: U8Array
    low: F64Array
    high: F64Array


class Insertions(NamedTuple):
    """What interrupts the stream.

    rate: ``float64``, insertions of each class per base of the stream. The families come first, then tandem repeats
        with short and with long units, copies of the contig itself, copies of the library.
    library: ``uint8``, text that any contig may copy.
    longest, shortest: bases of the last two classes (log-uniform); low, high: their divergence.
    """

    rate: F64Array
    library: U8Array
    shortest: int
    longest: int
    low: float
    high: float


class Recipe(NamedTuple):
    """What a contig is made of.

    place: ``int64[2]``, where the stream goes on: an index in its order, a base of that tile. Kernels move it.
    seed: of the divergence and the strand of each tile's copy.
    """

    stream: Stream
    repeats: Repeats
    insertions: Insertions
    place: I64Array
    seed: int


class Stretch(NamedTuple):
    """``source[lo:hi]``, or its reverse complement: what is copied."""

    source: U8Array
    lo: Int
    hi: Int
    reverse: Bool


SHORT_UNIT, LONG_UNIT, OWN_COPY, LIBRARY_COPY = range(4)
"""Classes of insertions behind the families."""

TANDEM_UNIT = ((1, 6), (10, 60))
TANDEM_BASES = ((16, 40.0), (100, 400.0))
TANDEM_DIVERGENCE = 0.1


@njit
def between(low: Float, high: Float, state: U64Array) -> Float:
    """A random number, uniform between two."""
    return low + (high - low) * uniform(state)


@njit
def exponential(mean: Float, state: U64Array) -> Int:
    """A random number from an exponential distribution, rounded down."""
    return np.int64(-np.log(1.0 - uniform(state)) * mean)


@njit
def copy_mutated(out: U8Array, at: Int, end: Int, piece: Stretch, divergence: Float, state: U64Array) -> Int:
    """Write a mutated copy of a stretch.

    Edits per base: ``divergence``, a tenth of them indels of geometric lengths with mean 1.5.
    """
    source, lo, hi, reverse = piece
    threshold = np.uint64(divergence * 2.0**32)
    counter = state[0]
    i, n = 0, hi - lo
    while i < n and at < end:
        base = np.uint8(3) - source[hi - 1 - i] if reverse else source[lo + i]
        counter += GAMMA
        bits = splitmix64(counter)
        i += 1
        if (bits & LOW_HALF) >= threshold:
            out[at] = base
            at += 1
            continue
        bits >>= np.uint64(32)
        kind = bits % np.uint64(INDEL_SHARE)
        bits //= np.uint64(INDEL_SHARE)
        if kind > 1:
            out[at] = (base + np.uint8(1) + np.uint8(bits % np.uint64(3))) & np.uint8(3)
            at += 1
            continue
        length = 1
        while length < LONGEST_INDEL and bits % np.uint64(3) == 0:
            counter += GAMMA
            bits = splitmix64(counter)
            length += 1
        if kind == 0:
            i += length - 1
            continue
        for _ in range(length):
            if at < end:
                counter += GAMMA
                out[at] = splitmix64(counter) >> np.uint64(62)
                at += 1
        i -= 1  # the base behind the insertion is still to come
    state[0] = counter
    return at


@njit
def _copy_stream(out: U8Array, at: Int, end: Int, recipe: Recipe, state: U64Array) -> Int:
    """Write the stream from its place on.

    Divergence and strand belong to the tile's copy, whatever interrupts it.
    """
    stream, place = recipe.stream, recipe.place
    own = np.empty(1, np.uint64)
    while at < end:
        use = place[0] % len(stream.order)
        tile = stream.order[use]
        lo, hi = stream.bounds[tile], stream.bounds[tile + 1]
        own[0] = splitmix64(np.uint64(recipe.seed) ^ (np.uint64(place[0] + 1) * GAMMA))
        divergence = between(stream.low, stream.high, own)
        reverse = uniform(own) < 0.5
        # So many bases of the tile at a time that the place in it is known when the text ends.
        while place[1] < hi - lo and at < end:
            step = min(hi - lo - place[1], end - at)
            first = hi - place[1] - step if reverse else lo + place[1]
            piece = Stretch(stream.source, first, first + step, reverse)
            at = copy_mutated(out, at, end, piece, divergence, state)
            place[1] += step
        if place[1] >= hi - lo:
            place[0] += 1
            place[1] = 0
    return at


@njit
def _insert_repeat(out: U8Array, at: Int, end: Int, repeats: Repeats, family: Int, state: U64Array) -> Int:
    """A copy of a subfamily, drawn evenly among those of the family."""
    choices = repeats.first[family + 1] - repeats.first[family]
    chosen = repeats.first[family] + min(np.int64(uniform(state) * choices), choices - 1)
    lo, hi = repeats.begin[chosen], repeats.begin[chosen + 1]
    if uniform(state) >= repeats.whole[family]:
        length = min(hi - lo, repeats.shortest[family] + exponential(repeats.tail[family], state))
        if repeats.anywhere[family]:
            lo += np.int64(uniform(state) * (hi - lo - length + 1))
            hi = lo + length
        else:
            lo = hi - length
    reverse = uniform(state) < 0.5
    divergence = between(repeats.low[family], repeats.high[family], state)
    return copy_mutated(out, at, end, Stretch(repeats.bases, lo, hi, reverse), divergence, state)


@njit
def _insert_tandem(out: U8Array, at: Int, end: Int, kind: Int, state: U64Array) -> Int:
    """A tandem repeat of a random unit; ``kind``: `SHORT_UNIT` or `LONG_UNIT`."""
    low, high = TANDEM_UNIT[kind]
    shortest, tail = TANDEM_BASES[kind]
    unit = low + int(uniform(state) * (high - low + 1))
    text = np.empty(shortest + exponential(tail, state), np.uint8)
    for i in range(min(unit, len(text))):
        text[i] = np.uint8(uniform(state) * 4)
    for i in range(unit, len(text)):
        text[i] = text[i - unit]
    divergence = between(0.0, TANDEM_DIVERGENCE, state)
    return copy_mutated(out, at, end, Stretch(text, 0, len(text), False), divergence, state)


@njit
def _insert_copy(
    out: U8Array, at: Int, end: Int, text: U8Array, insertions: Insertions, state: U64Array
) -> Int:
    """A segmental duplication from a text, if that is long enough. Copies never hold an N."""
    size = len(text)
    ratio = insertions.longest / insertions.shortest
    length = np.int64(insertions.shortest * np.exp(np.log(ratio) * uniform(state)))
    place = uniform(state)
    reverse = uniform(state) < 0.5
    divergence = between(insertions.low, insertions.high, state)
    if size < 2 * length:
        return at
    lo = np.int64(place * (size - length))
    for i in range(lo + length - 1, lo - 1, -1):
        if text[i] > 3:
            return at
    return copy_mutated(out, at, end, Stretch(text, lo, lo + length, reverse), divergence, state)


@njit
def fill(out: U8Array, at: Int, end: Int, recipe: Recipe, state: U64Array, tally: I64Array) -> Int:
    """Write the stream, interrupted by insertions. What was written before may be copied.

    ``tally`` (``int64[1 + classes, 2]``) counts pieces and bases: of the stream, then of each class of insertions.
    """
    repeats, insertions = recipe.repeats, recipe.insertions
    bounds = np.cumsum(insertions.rate)
    families = len(repeats.first) - 1
    while at < end:
        begin = at
        run = 1 + exponential(1.0 / bounds[-1], state) if bounds[-1] > 0 else end - at
        at = _copy_stream(out, at, min(end, at + run), recipe, state)
        tally[0, 0] += 1
        tally[0, 1] += at - begin
        if at >= end:
            break
        chosen = min(np.searchsorted(bounds, uniform(state) * bounds[-1], side="right"), len(bounds) - 1)
        begin = at
        kind = chosen - families
        if kind < 0:
            at = _insert_repeat(out, at, end, repeats, chosen, state)
        elif kind <= LONG_UNIT:
            at = _insert_tandem(out, at, end, kind, state)
        elif kind == OWN_COPY:
            at = _insert_copy(out, at, end, out[:at], insertions, state)
        else:
            at = _insert_copy(out, at, end, insertions.library, insertions, state)
        if at > begin:
            tally[1 + chosen, 0] += 1
            tally[1 + chosen, 1] += at - begin
    return at


@njit
def fill_array(
    out: U8Array, at: Int, end: Int, unit: U8Array, divergence: tuple[float, float], state: U64Array
) -> Int:
    """Write copies of a unit, one behind the other; ``divergence`` of each copy: lowest, highest."""
    low, high = divergence
    whole = Stretch(unit, 0, len(unit), False)
    while at < end:
        at = copy_mutated(out, at, end, whole, between(low, high, state), state)
    return at
