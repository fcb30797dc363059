"""`esa.align.records.flags` and `esa.align.records.template`, by small cases."""

from __future__ import annotations

import numpy as np

from esa.align.records.flags import nonprimary_flags, primary_flags
from esa.align.records.template import five_prime_ends, template_lengths
from esa.io.records import FLAG_SECONDARY, FLAG_SUPPLEMENTARY


def bits(*values: int) -> np.ndarray:
    return np.array(values, np.bool_)


def test_flags_of_primary_records():
    # A proper FR pair; a pair of which only the first read is mapped, reverse; a pair of unmapped reads.
    mapped, reverse = bits(1, 1, 1, 0, 0, 0), bits(0, 1, 1, 0, 0, 0)
    proper = bits(1, 1, 0, 0, 0, 0)
    assert primary_flags(mapped, reverse, proper, True).tolist() == [99, 147, 89, 165, 77, 141]
    assert primary_flags(mapped, reverse, proper, False).tolist() == [0, 16, 16, 4, 4, 4]


def test_nonprimary_records_share_what_is_true_of_the_read():
    kind = np.array([FLAG_SUPPLEMENTARY, FLAG_SECONDARY], np.uint16)
    flags = nonprimary_flags(np.array([99, 147], np.uint16), kind, bits(1, 0))
    assert flags.tolist() == [2048 | 16 | 99, 256 | 131]
    assert flags.dtype == np.uint16


def test_template_length_counts_both_five_prime_bases():
    position, span = np.array([100, 300, 250, 5, 7]), np.array([50, 60, 50, 5, 5])
    ends = five_prime_ends(position, span, bits(0, 1, 1, 0, 0))
    assert ends.tolist() == [100, 359, 299, 5, 7]
    mates = ends[[1, 0, 2, 4, 3]]
    assert template_lengths(ends, mates, bits(1, 1, 1, 1, 0)).tolist() == [260, -260, 0, 3, 0]
