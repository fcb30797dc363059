"""`esa.sequence.dna` and `esa.sequence.genome`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from esa.sequence import dna
from esa.sequence.genome import Genome

Codes = NDArray[np.uint8]
sequences = st.lists(st.integers(0, 4), max_size=70).map(lambda bases: np.array(bases, np.uint8))


def runs_of_n(codes: Codes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    starts = [i for i in range(len(codes)) if codes[i] == dna.N and (i == 0 or codes[i - 1] != dna.N)]
    ends = [
        i + 1
        for i in range(len(codes))
        if codes[i] == dna.N and (i + 1 == len(codes) or codes[i + 1] != dna.N)
    ]
    return np.array(starts, np.int64), np.array(ends, np.int64)


def genome_of(codes: Codes, lengths: list[int]) -> Genome:
    packed = np.full((len(codes) + 3) // 4, 255, np.uint8)
    dna.pack(codes, packed)
    names = tuple(f"c{i}" for i in range(len(lengths)))
    return Genome(names, np.array(lengths), ("0" * 32,) * len(lengths), packed, *runs_of_n(codes))


@given(sequences, st.data())
@settings(max_examples=200)
def test_any_interval_is_unpacked_as_it_was_packed(codes: Codes, data: st.DataObject):
    genome = genome_of(codes, [len(codes)])
    start = data.draw(st.integers(0, len(codes)))
    end = data.draw(st.integers(start, len(codes)))
    np.testing.assert_array_equal(genome.fetch(start, end), codes[start:end])


def test_packing_is_two_bits_a_base_from_the_low_end():
    packed = np.empty(2, np.uint8)
    dna.pack(dna.encode(b"ACGTN"), packed)
    assert packed.tolist() == [0b11100100, 0]


def test_contigs_lie_end_to_end():
    codes = dna.encode(b"ACGTACGTNNNNACG")
    genome = genome_of(codes, [5, 1, 9])
    assert genome.offsets.tolist() == [0, 5, 6, 15]
    assert genome.bases == 15
    assert [dna.decode(genome.contig(i)) for i in range(3)] == [b"ACGTA", b"C", b"GTNNNNACG"]


@pytest.mark.parametrize(("start", "end"), [(-1, 3), (3, 2), (0, 16), (16, 16)])
def test_intervals_outside_the_genome_are_refused(start: int, end: int):
    with pytest.raises(ValueError, match="outside the genome of 15 bases"):
        genome_of(np.zeros(15, np.uint8), [15]).fetch(start, end)


def test_letters_and_codes():
    assert dna.encode(b"ACGTNacgtnUu").tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 3, 3]
    assert dna.encode(b"RYSWKMBDHVry*-. 1").tolist() == [dna.N] * 17
    assert dna.decode(np.arange(5, dtype=np.uint8)) == b"ACGTN"


def test_checked_codes_tell_iupac_letters_from_others():
    for byte in range(256):
        if chr(byte).upper() in "ACGTUNRYSWKMBDHV" and byte < 128:
            assert dna.CODE_CHECKED[byte] == dna.CODE[byte]
        else:
            assert dna.CODE_CHECKED[byte] == dna.INVALID


@given(sequences)
def test_reverse_complement_pairs_bases_and_is_its_own_inverse(codes: Codes):
    turned = dna.reverse_complement(codes)
    np.testing.assert_array_equal(dna.reverse_complement(turned), codes)
    pairs = {"A": "T", "C": "G", "G": "C", "T": "A", "N": "N"}
    expected = "".join(pairs[letter] for letter in reversed(dna.decode(codes).decode()))
    assert dna.decode(turned).decode() == expected


def test_tables_cannot_be_changed():
    for table in (dna.CODE, dna.CODE_CHECKED, dna.LETTERS):
        with pytest.raises(ValueError, match="read-only"):
            table[0] = 1
