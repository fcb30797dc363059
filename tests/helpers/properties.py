"""What must hold for all records of a read and of a pair, each definition spelled out one base at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

import pysam
from samples import Read, reverse_complement

MATCH, MISMATCH, AMBIGUOUS, GAP_OPEN, GAP_EXTEND = 1, -4, -1, -6, -1
END_BONUS, LEAST_SCORE, LEAST_RESCUED, MOST_PARTS = 5, 30, 19, 4

Run = list[pysam.AlignedSegment]
"""All records of one read, the primary one first."""


def by_read(records: list[pysam.AlignedSegment]) -> list[Run]:
    """The records of each read, in the order of the file."""
    return [list(run) for _, run in groupby(records, lambda x: (x.query_name, x.is_read2))]


def primaries(records: list[pysam.AlignedSegment]) -> list[pysam.AlignedSegment]:
    """The records that are neither secondary nor supplementary."""
    return [x for x in records if not x.is_supplementary and not x.is_secondary]


def query_interval(record: pysam.AlignedSegment) -> tuple[int, int]:
    """In the direction in which the read was sequenced."""
    cigar = record.cigartuples or []
    left, right = (c[1] if c[0] in (4, 5) else 0 for c in (cigar[0], cigar[-1]))
    n = record.infer_read_length() or 0
    return (right, n - left) if record.is_reverse else (left, n - right)


def sa_of(record: pysam.AlignedSegment) -> list[str]:
    """The entries of the SA tag."""
    return str(record.get_tag("SA")).rstrip(";").split(";") if record.has_tag("SA") else []


def as_sa(record: pysam.AlignedSegment) -> str:
    """A record as an entry of an SA tag."""
    strand = "-" if record.is_reverse else "+"
    cigar = str(record.cigarstring).replace("H", "S")
    return (
        f"{record.reference_name},{record.reference_start + 1},{strand},{cigar},"
        f"{record.mapping_quality},{record.get_tag('NM')}"
    )


def aligned_pairs(record: pysam.AlignedSegment) -> Iterator[tuple[str, int, int, int]]:
    """(operation, length, place in SEQ, place in the reference) of each element of a CIGAR."""
    in_read, in_reference = 0, record.reference_start
    for operation, length in record.cigartuples or []:
        letter = "MIDNSHP=X"[operation]
        yield letter, length, in_read, in_reference
        in_read += length if letter in "MIS=X" else 0
        in_reference += length if letter in "MD=X" else 0


def rescored(record: pysam.AlignedSegment, contig: str) -> tuple[int, int, str]:
    """AS, NM and MD of a record from its CIGAR and both sequences: the definitions, one base at a time."""
    bases = record.query_sequence or ""
    score, edits, run, described = 0, 0, 0, ""
    for letter, length, i, j in aligned_pairs(record):
        if letter in "M=X":
            for k in range(length):
                mine, theirs = bases[i + k], contig[j + k]
                same = mine == theirs != "N"
                score += MATCH if same else AMBIGUOUS if "N" in mine + theirs else MISMATCH
                edits += not same
                if same:
                    run += 1
                else:
                    described += f"{run}{theirs}"
                    run = 0
        elif letter in "ID":
            score += GAP_OPEN + length * GAP_EXTEND
            edits += length
            if letter == "D":
                described += f"{run}^{contig[j : j + length]}"
                run = 0
    return score, edits, f"{described}{run}"


def local_score(record: pysam.AlignedSegment, contig: str) -> int:
    """Score of the best stretch of a record's alignment."""
    bases = record.query_sequence or ""
    best = running = 0
    for letter, length, i, j in aligned_pairs(record):
        if letter in "ID":
            running += GAP_OPEN + length * GAP_EXTEND
        elif letter in "M=X":
            for mine, theirs in zip(bases[i : i + length], contig[j : j + length], strict=True):
                pair = AMBIGUOUS if "N" in mine + theirs else MATCH if mine == theirs else MISMATCH
                running = max(running, 0) + pair
                best = max(best, running)
    return best


# --- one read


def check(run: Run, read: Read, genome: dict[str, str], soft_clips: bool = False) -> None:
    """All records of a read, mapped or not: one primary record and the other segments of a chimeric read.

    ``soft_clips``: those have soft clips and all bases, not hard clips.
    """
    name, bases = read
    assert 1 <= len(run) <= MOST_PARTS
    assert [x.is_supplementary for x in run] == [False] + [True] * (len(run) - 1)
    for record in run:
        assert record.query_name == name
        assert not record.is_secondary
        check_bases(record, bases, record.is_supplementary and not soft_clips)
        if record.is_unmapped:
            check_unmapped(record)
        else:
            check_alignment(record, bases, genome[record.reference_name])
        # SA: the others, in the order of the records.
        assert sa_of(record) == [as_sa(other) for other in run if other is not record]
    check_parts(run)


def check_bases(record: pysam.AlignedSegment, bases: str, hard: bool) -> None:
    """SEQ is the read, or of a record with hard clips the segment that it aligns."""
    if hard:
        begin, end = query_interval(record)
        assert record.infer_read_length() == len(bases)
        bases = bases[begin:end]
    assert (record.query_sequence or "") == (reverse_complement(bases) if record.is_reverse else bases)
    assert len(record.query_qualities or []) == len(bases)
    clip = "H" if hard else "S"
    letters = "".join(letter for letter, *_ in aligned_pairs(record))
    assert record.is_unmapped or re.fullmatch(f"{clip}?M([ID]+M)*{clip}?", letters), record.cigarstring


def check_unmapped(record: pysam.AlignedSegment) -> None:
    """An unmapped record has MAPQ 0, no CIGAR and no tags of an alignment."""
    assert (record.is_supplementary, record.mapping_quality, record.cigarstring) == (False, 0, None)
    assert not any(record.has_tag(tag) for tag in ("NM", "MD", "AS", "XS", "SA"))


def check_alignment(record: pysam.AlignedSegment, bases: str, contig: str) -> None:
    """CIGAR, scores and MAPQ of a mapped record of a read with these bases."""
    assert record.infer_query_length() == len(record.query_sequence)
    assert record.infer_read_length() == len(bases)
    assert 0 <= record.reference_start < record.reference_end <= len(contig)
    assert (record.get_tag("AS"), record.get_tag("NM"), record.get_tag("MD")) == rescored(record, contig)
    least = min(LEAST_SCORE, len(bases) // 2)
    if record.is_proper_pair and not record.is_supplementary:
        least = min(least, LEAST_RESCUED)
    begin, end = query_interval(record)
    assert local_score(record, contig) >= least
    assert end - begin >= least
    assert 0 <= record.mapping_quality <= 60
    if record.has_tag("XS") and record.get_tag("XS") == record.get_tag("AS") and not record.is_paired:
        assert record.mapping_quality <= 3
    # pysam's own idea of the reference, from read, CIGAR and MD.
    spelled = "".join(
        contig[j : j + length] for letter, length, _, j in aligned_pairs(record) if letter in "MD"
    )
    assert record.get_reference_sequence().upper() == spelled


def check_parts(run: Run) -> None:
    """No segment of a read shares half of its bases with another one."""
    intervals = [query_interval(x) for x in run if not x.is_unmapped]
    for i, (begin, end) in enumerate(intervals):
        for other, stop in intervals[:i]:
            assert 2 * (min(end, stop) - max(begin, other)) < min(end - begin, stop - other)


def placement(record: pysam.AlignedSegment, turned: bool) -> tuple[object, ...]:
    """What a record says of its segment of the read, whichever strand was read; ``turned``: the other one was.

    Not its kind of clips, and not SA (see `check`).
    """
    tags = [tag for tag in record.get_tags() if tag[0] != "SA"]
    strand = record.is_unmapped or record.is_reverse ^ turned
    cigar = str(record.cigarstring).replace("H", "S")
    place = record.reference_name, record.reference_start, strand, cigar, record.mapping_quality
    return (*place, *tags)


def check_turned(run: Run, turned: Run) -> None:
    """The records of a read and of its reverse complement: one primary record and the same segments."""
    assert placement(run[0], False) == placement(turned[0], True)
    # In the order of the read.
    parts, others = ({placement(x, flip) for x in part[1:]} for part, flip in ((run, False), (turned, True)))
    assert parts == others


# --- a pair


def check_pair(first: Run, second: Run) -> None:
    """What each record of two mates, of whatever kind, says of the other read: of its primary record."""
    assert first[0].is_proper_pair == second[0].is_proper_pair
    for run, mates in ((first, second), (second, first)):
        for record in run:
            assert (record.is_read1, record.is_read2) == (run is first, run is second)
            assert record.is_proper_pair == run[0].is_proper_pair
            check_mate(record, mates[0])
        if mates[0].is_unmapped:
            assert (run[0].reference_id, run[0].reference_start) == (
                mates[0].reference_id,
                mates[0].reference_start,
            )
    if first[0].is_proper_pair:
        assert not first[0].is_unmapped
        assert first[0].reference_id == second[0].reference_id


def check_mate(record: pysam.AlignedSegment, mate: pysam.AlignedSegment) -> None:
    """Flags, position, MC, MQ and TLEN of a record agree with its mate."""
    assert record.is_paired
    assert record.mate_is_unmapped == mate.is_unmapped
    assert record.mate_is_reverse == mate.is_reverse
    assert (record.next_reference_id, record.next_reference_start) == (
        mate.reference_id,
        mate.reference_start,
    )
    assert record.has_tag("MC") == record.has_tag("MQ") == (not mate.is_unmapped)
    if not mate.is_unmapped:
        assert record.get_tag("MC") == mate.cigarstring
        assert record.get_tag("MQ") == mate.mapping_quality
    assert record.template_length == template_length(record, mate)


def template_length(record: pysam.AlignedSegment, mate: pysam.AlignedSegment) -> int:
    """TLEN: from 5' end to 5' end, both bases counted."""
    if record.is_unmapped or mate.is_unmapped or record.reference_id != mate.reference_id:
        return 0
    mine, theirs = ((x.reference_end or 0) - 1 if x.is_reverse else x.reference_start for x in (record, mate))
    return theirs - mine + (theirs > mine) - (theirs < mine)
