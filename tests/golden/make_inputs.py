"""Make the inputs of the golden tests: ``python tests/golden/make_inputs.py``, then ``update.py``.

Each read is cut from the small reference by a recipe. Its comment says where it belongs, as
``contig:position:strand:CIGAR``: 0-based, ``*`` for nowhere, ``?`` for one of several copies. The segments of a
chimeric read follow each other, the primary first, with a semicolon between. So golden files are checked against more
than the aligner itself.
"""

from __future__ import annotations

import random
from pathlib import Path

HERE = Path(__file__).parent
LAMBDA = HERE.parent.parent / "data" / "lambda_phage.fa.gz"
READ = 120
LINE = 80

Read = tuple[str, str, str]
"""Name, expectation, bases."""


def bases(rng: random.Random, count: int) -> str:
    return "".join(rng.choice("ACGT") for _ in range(count))


def reverse_complement(sequence: str) -> str:
    return sequence.translate(str.maketrans("ACGTN", "TGCAN"))[::-1]


def other(base: str) -> str:
    """Another base: A for C and so on."""
    return base.translate(str.maketrans("ACGTN", "CATGA"))


def mutated(sequence: str, *places: int) -> str:
    letters = list(sequence)
    for place in places:
        letters[place] = other(letters[place])
    return "".join(letters)


def unlike(rng: random.Random, expected: str) -> str:
    """Bases that differ from the expected ones at every place."""
    return "".join(rng.choice([x for x in "ACGT" if x != base]) for base in expected)


def reference() -> dict[str, str]:
    rng = random.Random(1)
    first, second = bases(rng, 6000), bases(rng, 3000)
    second = second[:1500] + "NNN" + second[1503:]
    copy = first[4500:4900]
    return {"first": first, "tiny": bases(rng, 30), "second": second + copy + bases(rng, 400)}


def single_reads(genome: dict[str, str]) -> list[Read]:
    rng = random.Random(2)
    a, b = genome["first"], genome["second"]
    reads: list[Read] = []

    def add(name: str, expected: str, sequence: str) -> None:
        reads.append((name, expected, sequence))

    def both(name: str, contig: str, start: int, cigar: str, sequence: str) -> None:
        add(name, f"{contig}:{start}:+:{cigar}", sequence)
        add(f"{name}_reverse", f"{contig}:{start}:-:{cigar}", reverse_complement(sequence))

    both("perfect", "first", 300, "120M", a[300:420])
    both("mismatches", "first", 500, "120M", mutated(a[500:620], 20, 61, 90))
    both("clip_left", "first", 730, "30S90M", unlike(rng, a[700:730]) + a[730:820])
    both("clip_right", "second", 200, "85M35S", b[200:285] + unlike(rng, b[285:320]))
    both("insertion", "second", 400, "50M3I67M", b[400:450] + unlike(rng, b[450:453]) + b[450:517])
    both("deletion", "second", 600, "70M4D50M", b[600:670] + b[674:724])
    both("long_insertion", "first", 900, "100M40I100M", a[900:1000] + bases(rng, 40) + a[1000:1100])
    both("long_deletion", "first", 1200, "100M45D100M", a[1200:1300] + a[1345:1445])
    both("insertion_at_end", "first", 1500, "10M1I109M", a[1500:1510] + other(a[1510]) + a[1510:1619])
    both("deletion_at_end", "first", 1700, "108M2D12M", a[1700:1808] + a[1810:1822])
    both("mismatch_at_end", "first", 1900, "120M", mutated(a[1900:2020], 119))
    both("mismatches_at_end", "first", 2100, "118M2S", mutated(a[2100:2220], 118, 119))
    add("n_in_read", "first:2300:+:120M", a[2300:2350] + "NNNNN" + a[2355:2420])
    add("n_in_reference", "second:1440:+:120M", b[1440:1500] + "ACG" + b[1503:1560])
    add("iupac_and_lower_case", "first:2500:+:120M", a[2500:2560] + "R" + a[2561:2620].lower())
    both("over_the_left_end", "first", 0, "20S100M", bases(rng, 20) + a[:100])
    both("over_the_right_end", "second", len(b) - 90, "90M30S", b[-90:] + bases(rng, 30))
    add("short", "second:1000:+:44M", b[1000:1044])
    add("repeat", "?", a[4600:4720])
    add("whole_tiny_contig", "*", genome["tiny"])
    add("random", "*", bases(rng, READ))
    add("all_n", "*", "N" * 60)
    add("empty", "*", "")
    add("one_base", "*", "A")
    return reads


def few_pairs(genome: dict[str, str]) -> list[tuple[Read, Read]]:
    """Pairs of every kind, too few to learn insert sizes from."""
    rng = random.Random(3)
    a, b = genome["first"], genome["second"]
    random_read = bases(rng, READ)
    pairs: list[tuple[Read, Read]] = []

    def forward(contig: str, start: int, length: int = READ) -> tuple[str, str]:
        return f"{contig}:{start}:+:{length}M", genome[contig][start : start + length]

    def backward(contig: str, start: int, length: int = READ) -> tuple[str, str]:
        return f"{contig}:{start}:-:{length}M", reverse_complement(genome[contig][start : start + length])

    def add(name: str, first: tuple[str, str], second: tuple[str, str]) -> None:
        pairs.append(((name, *first), (name, *second)))

    add("proper", forward("first", 300), backward("first", 500))
    add("proper_turned", backward("second", 500, 100), forward("second", 300))
    add("one_on_the_other", forward("second", 800), backward("second", 800))
    add("far_apart", forward("first", 700), backward("first", 3700))
    add("other_contig", forward("first", 1000), backward("second", 1000))
    add("same_strand", forward("first", 1300), forward("first", 1500))
    add("outwards", backward("first", 1700), forward("first", 2000))
    add("second_unmapped", forward("first", 2300), ("*", random_read))
    add("first_unmapped", ("*", random_read), backward("first", 2300))
    add("both_unmapped", ("*", random_read), ("*", reverse_complement(random_read[:77])))
    add("second_empty", backward("second", 1200), ("*", ""))
    add("first_all_n", ("*", "N" * 50), forward("second", 1300))
    add("in_the_repeat", forward("first", 4300), backward("first", 4600))
    add("both_in_the_repeat", ("?", a[4510:4610]), ("?", reverse_complement(a[4700:4800])))
    rescued = mutated(b[2000:2120], *range(4, 120, 13))
    add("second_rescued", forward("second", 1800), ("second:2000:-:120M", reverse_complement(rescued)))
    clipped = f"second:{len(b) - 80}:-:80M40S"
    add("over_the_end", forward("second", 3500), (clipped, reverse_complement(b[-80:] + bases(rng, 40))))
    return pairs


def ordinary_pairs(genome: dict[str, str]) -> list[tuple[Read, Read]]:
    """Proper pairs from which insert sizes are learnt, and one with an insert far too long."""
    rng = random.Random(4)
    pairs = []
    for i in range(25):
        size = 700 if i == 12 else rng.randint(280, 320)
        start = 200 + 150 * i
        sequence = genome["first"][start : start + size]
        first = f"first:{start}:+:60M", sequence[:60]
        second = f"first:{start + size - 60}:-:60M", reverse_complement(sequence[-60:])
        ends = (first, second) if i % 2 else (second, first)
        name = "insert_too_long" if i == 12 else f"pair{i}"
        pairs.append(((name, *ends[0]), (name, *ends[1])))
    return pairs


def joined(left: str, until: int, right: str, start: int) -> int:
    """The first place from ``start`` on where ``right`` can follow ``left[:until]`` so that neither goes on like the
    other over the break."""
    while left[until] == right[start] or left[until - 1] == right[start - 1]:
        start += 1
    return start


def chimeric_pairs(genome: dict[str, str]) -> list[tuple[Read, Read]]:
    """Pairs of which one end, or both, goes on elsewhere."""
    pairs: list[tuple[Read, Read]] = []
    a, b = genome["first"], genome["second"]

    def add(name: str, first: tuple[str, str], second: tuple[str, str]) -> None:
        pairs.append(((name, *first), (name, *second)))

    mate = "first:700:-:120M", reverse_complement(a[700:820])
    at = joined(a, 580, b, 2000)
    chimera = a[500:580] + b[at : at + 40]
    add("other_contig", (f"first:500:+:80M40S;second:{at}:+:80H40M", chimera), mate)
    turned = f"first:500:-:80M40S;second:{at}:-:80H40M"
    add("other_contig_turned", (turned, reverse_complement(chimera)), mate)
    add("mate_unmapped", (f"first:500:+:80M40S;second:{at}:+:80H40M", chimera), ("*", "ACGT" * 20))
    turned_first = reverse_complement(a)
    at = joined(a, 580, turned_first, 2000)
    chimera = a[500:580] + turned_first[at : at + 45]
    add("other_strand", mate, (f"first:500:+:80M45S;first:{len(a) - at - 45}:-:45M80H", chimera))
    middle = joined(b, 1160, a, 3000)
    last = joined(a, middle + 90, b, 800)
    chimera = b[1100:1160] + a[middle : middle + 90] + b[last : last + 50]
    parts = f"first:{middle}:+:60S90M50S;second:1100:+:60M140H;second:{last}:+:150H50M"
    add("three_parts", (parts, chimera), mate)
    at = joined(a, 590, a, 1300)
    add(
        "far_on_the_same_strand",
        (f"first:500:+:90M60S;first:{at}:+:90H60M", a[500:590] + a[at : at + 60]),
        mate,
    )
    at = joined(b, 2080, a, 3200)
    first = f"second:2000:+:80M40S;first:{at}:+:80H40M", b[2000:2080] + a[at : at + 40]
    at = joined(b, 2370, a, 3500)
    chimera = reverse_complement(b[2300:2370] + a[at : at + 50])
    add("both_ends", first, (f"second:2300:-:70M50S;first:{at}:-:70H50M", chimera))
    return pairs


def long_reads() -> list[Read]:
    import gzip

    sequence = "".join(gzip.decompress(LAMBDA.read_bytes()).decode().split("\n")[1:])
    contig = gzip.decompress(LAMBDA.read_bytes()).decode()[1:].split()[0]
    text = mutated(sequence[30_000:40_000], *range(50, 10_000, 100))
    return [("long", f"{contig}:30000:-:10000M", reverse_complement(text))]


def qualities(count: int) -> str:
    return "".join(chr(ord("#") + i % 39) for i in range(count))


def fastq(reads: list[Read]) -> str:
    return "".join(
        f"@{name} {expected}\n{text}\n+\n{qualities(len(text))}\n" for name, expected, text in reads
    )


def fasta(records: list[tuple[str, str]]) -> str:
    return "".join(
        f">{header}\n" + "".join(f"{text[i : i + LINE]}\n" for i in range(0, len(text), LINE))
        for header, text in records
    )


def write(name: str, text: str) -> None:
    (HERE / name).write_text(text)


def main() -> None:
    genome = reference()
    write("reference.fa", fasta(list(genome.items())))
    reads = single_reads(genome)
    write("single.fq", fastq(reads))
    write("fasta.fa", fasta([(f"{name} {expected}", text) for name, expected, text in reads[:8] if text]))
    for name, pairs in {
        "pairs": few_pairs(genome),
        "inserts": ordinary_pairs(genome),
        "split": chimeric_pairs(genome),
    }.items():
        write(f"{name}_R1.fq", fastq([pair[0] for pair in pairs]))
        write(f"{name}_R2.fq", fastq([pair[1] for pair in pairs]))
    write("long.fa", fasta([(f"{name} {expected}", text) for name, expected, text in long_reads()]))


if __name__ == "__main__":
    main()
