"""`esa align`: where reads come from, where records go, options, and how the process ends."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import numpy as np
import pysam
import pytest
from samples import (
    comparable,
    edited,
    esa,
    fastq_text,
    make_index,
    random_bases,
    records_of,
    reverse_complement,
    write,
)

from esa import __version__
from esa.align.inserts import FR, InsertSizes, parse_insert_sizes
from esa.cli.main import run
from esa.io import bgzf

GENOME = {
    "a": random_bases(np.random.default_rng(31), 20_000),
    "b": random_bases(np.random.default_rng(32), 8000),
}
ALIGN = [sys.executable, "-m", "esa", "align"]
INTERRUPTIBLE = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from esa.__main__ import main; main()"
)
"""A runner that was started in the background may have SIGINT ignored, which children inherit."""


def some_pairs() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    rng = np.random.default_rng(33)
    first, second = [], []
    for i in range(60):
        bases = GENOME["ab"[i % 2]]
        start, size = int(rng.integers(0, len(bases) - 500)), int(rng.normal(350, 20))
        ends = [bases[start : start + 100], reverse_complement(bases[start + size - 100 : start + size])]
        if i % 3 == 0:
            ends.reverse()
        first.append((f"pair{i}", edited(rng, ends[0], 0.01)))
        second.append((f"pair{i}", edited(rng, ends[1], 0.01)))
    return first, second


FIRST, SECOND = some_pairs()


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_index(tmp_path_factory.mktemp("index"), GENOME)


@pytest.fixture
def reads(tmp_path: Path) -> tuple[str, str]:
    return write(tmp_path / "R1.fq", fastq_text(FIRST)), write(tmp_path / "R2.fq", fastq_text(SECOND))


@pytest.fixture
def sam(index: Path, reads: tuple[str, str], tmp_path: Path) -> str:
    """What the pairs give, without @PG's command line."""
    esa("align", index, *reads, "-o", tmp_path / "expected.sam", "-q")
    text = (tmp_path / "expected.sam").read_text()
    (tmp_path / "expected.sam").unlink()
    return comparable(text)


def shell(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a bash script in which $0 is Python."""
    return subprocess.run(
        ["bash", "-c", script, sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


# --- where records go


def test_pairs_are_aligned(sam: str) -> None:
    records = [line.split("\t") for line in sam.splitlines() if not line.startswith("@")]
    assert [x[0] for x in records] == [name for name, _ in FIRST for _ in range(2)]
    assert all(int(x[1]) & 0x3 == 0x3 and int(x[1]) & 0xC == 0 for x in records)


@pytest.mark.parametrize("option", [[], ["-o", "-"]])
def test_stdout_by_default(
    option: list[str], index: Path, reads: tuple[str, str], sam: str, capsys: pytest.CaptureFixture[str]
) -> None:
    esa("align", index, *reads, *option)
    captured = capsys.readouterr()
    assert comparable(captured.out) == sam
    assert captured.err.startswith("reads ")


def test_the_stdout_of_a_process(index: Path, reads: tuple[str, str], sam: str, tmp_path: Path) -> None:
    done = shell(
        '"$0" -m esa align "$@" -q && "$0" -m esa align "$@" -q -o /dev/stdout | cat',
        index,
        *reads,
    )
    assert done.returncode == 0, done.stderr
    assert comparable(done.stdout) == 2 * sam


def test_bam_holds_the_same_records(index: Path, reads: tuple[str, str], sam: str, tmp_path: Path) -> None:
    esa("align", index, *reads, "-o", tmp_path / "o.bam")
    with pysam.AlignmentFile(str(tmp_path / "o.bam"), "rb") as bam:
        text = str(bam.header) + "".join(f"{record.to_string()}\n" for record in bam)
    assert comparable(text) == sam
    assert sorted(path.name for path in tmp_path.iterdir()) == ["R1.fq", "R2.fq", "o.bam"]


def test_a_fifo_as_output(index: Path, reads: tuple[str, str], sam: str, tmp_path: Path) -> None:
    done = shell(
        '"$0" -m esa align "$@" -q -o >(cat > "$OUT"); wait $!'.replace("$OUT", str(tmp_path / "o")),
        index,
        *reads,
    )
    assert done.returncode == 0, done.stderr
    assert comparable((tmp_path / "o").read_text()) == sam


def test_an_output_is_replaced(index: Path, reads: tuple[str, str], sam: str, tmp_path: Path) -> None:
    out = tmp_path / "o.sam"
    out.write_text("former")
    esa("align", index, *reads, "-o", out)
    assert comparable(out.read_text()) == sam


# --- where reads come from


def test_gzip_reads(index: Path, sam: str, tmp_path: Path) -> None:
    files = write(tmp_path / "z1.fq.gz", fastq_text(FIRST)), write(tmp_path / "z2.fq.gz", fastq_text(SECOND))
    esa("align", index, *files, "-o", tmp_path / "o.sam")
    assert comparable((tmp_path / "o.sam").read_text()) == sam


def interleaved() -> str:
    return fastq_text([read for pair in zip(FIRST, SECOND, strict=True) for read in pair])


def test_interleaved_reads(index: Path, sam: str, tmp_path: Path) -> None:
    reads = write(tmp_path / "i.fq", interleaved())
    esa("align", index, reads, "--interleaved", "-o", tmp_path / "o.sam")
    assert comparable((tmp_path / "o.sam").read_text()) == sam


def test_stdin_and_process_substitution(
    index: Path, reads: tuple[str, str], sam: str, tmp_path: Path
) -> None:
    zipped = write(tmp_path / "i.fq.gz", interleaved())
    arguments = [index, *reads, zipped]
    for script in (
        'align "$1" - "$3" < "$2"',
        'align "$1" <(cat "$2") <(gzip -c "$3")',
        'align "$1" /dev/stdin --interleaved < "$4"',
    ):
        done = shell(f'"$0" -m esa {script} -q', *arguments)
        assert (done.returncode, done.stderr) == (0, ""), script
        assert comparable(done.stdout) == sam, script


def test_comments_and_mate_suffixes_are_dropped(index: Path, sam: str, tmp_path: Path) -> None:
    files = []
    for end, part in enumerate((FIRST, SECOND), 1):
        named = [(f"{name}/{end} a comment", bases) for name, bases in part]
        files.append(write(tmp_path / f"{end}.fq", fastq_text(named)))
    esa("align", index, *files, "-o", tmp_path / "o.sam")
    assert comparable((tmp_path / "o.sam").read_text()) == sam


# --- options


@pytest.mark.parametrize(
    "options",
    [
        ["-R", r"@RG\tID:run 1\tSM:s"],
        ["--read-group", "@RG\tID:run 1\tSM:s"],
        ["--rg-id", "run 1", "--rg", "SM:s"],
    ],
)
def test_read_group(
    options: list[str], index: Path, reads: tuple[str, str], sam: str, tmp_path: Path
) -> None:
    esa("align", index, *reads, *options, "-o", tmp_path / "o.sam")
    lines = comparable((tmp_path / "o.sam").read_text()).splitlines()
    assert "@RG\tID:run 1\tSM:s" in lines
    records = [line for line in lines if not line.startswith("@")]
    assert all(line.endswith("\tRG:Z:run 1") for line in records)
    bare = [line.removesuffix("\tRG:Z:run 1") for line in lines if not line.startswith("@RG")]
    assert bare == sam.splitlines()


def test_program_line_holds_the_command(index: Path, reads: tuple[str, str], tmp_path: Path) -> None:
    arguments = ["align", str(index), *reads, "-o", str(tmp_path / "o.sam"), "--rg-id", "two words"]
    assert run(arguments) == 0
    with pysam.AlignmentFile(str(tmp_path / "o.sam")) as file:
        (program,) = file.header.to_dict()["PG"]
    quoted = " ".join([*arguments[:-1], "'two words'"])
    assert program == {"ID": "esa", "PN": "esa", "VN": __version__, "CL": f"esa {quoted}"}


def test_eqx(index: Path, reads: tuple[str, str], sam: str, tmp_path: Path) -> None:
    esa("align", index, *reads, "--eqx", "-o", tmp_path / "o.sam")
    text = (tmp_path / "o.sam").read_text()
    assert "X" in {op for x in records_of(tmp_path / "o.sam") for op in re.findall("[A-Z=]", x.cigarstring)}

    def merged(cigar: str) -> str:
        runs = re.sub("[=X]", "M", cigar)
        while (joined := re.sub(r"(\d+)M(\d+)M", lambda m: f"{int(m[1]) + int(m[2])}M", runs)) != runs:
            runs = joined
        return runs

    assert re.sub(r"(?:\d+[MIDS=X])+", lambda m: merged(m[0]), comparable(text)) == sam


def test_least_score(index: Path, tmp_path: Path) -> None:
    start, short = GENOME["a"][500:580], GENOME["b"][900:940]
    half_random = start + random_bases(np.random.default_rng(1), 70)
    reads = write(tmp_path / "r.fq", fastq_text([("r", half_random), ("short", short)]))
    mapped = []
    for least in (40, 78, 90):
        esa("align", index, reads, "-T", least, "-o", tmp_path / "o.sam")
        mapped.append([not record.is_unmapped for record in records_of(tmp_path / "o.sam")])
    # For the read of 40 bases two thirds of -T count: 26, 52 and 60.
    assert mapped == [[True, True], [True, False], [False, False]]
    esa("align", index, reads, "-T", 60, "-o", tmp_path / "o.sam")
    assert [record.get_tag("AS") for record in records_of(tmp_path / "o.sam")] == [
        pytest.approx(80, abs=2),
        40,
    ]


def test_quiet_says_nothing(
    index: Path, reads: tuple[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    esa("align", index, *reads, "-q", "-o", tmp_path / "o.bam")
    assert capfd.readouterr() == ("", "")


def test_summary_of_pairs(
    index: Path, reads: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    esa("align", index, *reads, "-o", tmp_path / "o.sam")
    said = {line[:15].strip(): line[15:].strip() for line in capsys.readouterr().err.splitlines()}
    assert said["reads"] == "120"
    assert said["pairs"] == "60"
    assert said["mapped"] == "120  (100.00 %)"
    assert said["properly paired"] == "60  (100.00 %)"
    size, deviation = re.match(r"(\d+) \+- (\d+) \(FR, ", said["insert size"]).groups()  # type: ignore[union-attr]
    assert 340 <= int(size) <= 360
    assert 10 <= int(deviation) <= 30
    assert said["time"].endswith("reads/s")


def test_summary_of_single_reads(index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = [
        *FIRST[:3],
        ("iupac", FIRST[4][1][:99] + "R"),
        ("random", random_bases(np.random.default_rng(9), 90)),
    ]
    esa("align", index, write(tmp_path / "r.fq", fastq_text(part)), "-o", tmp_path / "o.sam")
    said = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0].strip() for line in said] == ["reads", "mapped", "IUPAC", "time"]
    assert said[1].split() == ["mapped", "4", "(80.00", "%)"]
    assert said[2].split()[1] == "1"


# --- insert sizes and further records


@pytest.mark.parametrize(
    ("given", "mean", "deviation", "low", "high"),
    [
        ("350", 350, 35, 210, 490),
        ("350,20", 350, 20, 270, 430),
        ("350,20,500", 350, 20, 270, 500),
        ("350,20.5,500,100", 350, 20.5, 100, 500),
        ("20,10", 20, 10, 1, 60),
    ],
)
def test_insert_sizes_as_bwa_takes_them(
    given: str, mean: float, deviation: float, low: int, high: int
) -> None:
    assert parse_insert_sizes(given) == InsertSizes(FR, low, high, mean, deviation, 0)


@pytest.mark.parametrize(
    "given",
    ["", "x", "400;50", "400,", "0", "-400", "400,0", "400,-1", "nan", "inf", "400,50,300", "400,50,500,450",
     "400,50,600,200,1", "1e9"],
)  # fmt: skip
def test_insert_sizes_that_no_pair_has(
    given: str, index: Path, reads: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["align", str(index), *reads, "-I", given, "-o", str(tmp_path / "o.sam")]) == 2
    assert f"insert size {given!r} is not MEAN[,SD[,MAX[,MIN]]]" in capsys.readouterr().err
    assert list(tmp_path.glob("o*")) == []


def test_given_insert_sizes(
    index: Path, reads: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    esa("align", index, *reads, "-I", "1000,30", "-o", tmp_path / "o.sam")
    said = capsys.readouterr().err
    assert "insert size      1000 +- 30 (FR, 880 to 1120 proper; as given)" in said
    assert "properly paired  0  (0.00 %)" in said
    esa("align", index, *reads, "-I", "350,20", "-o", tmp_path / "o.sam")
    assert "properly paired  60  (100.00 %)" in capsys.readouterr().err
    # Single reads have none.
    esa("align", index, reads[0], "-I", "350,20", "-o", tmp_path / "o.sam")
    assert "insert" not in capsys.readouterr().err


def split_reads(folder: Path) -> str:
    pieces = GENOME["a"][3000:3080], GENOME["b"][3000:3060]
    return write(
        folder / "split.fq", fastq_text([("split", "".join(pieces)), ("whole", GENOME["a"][50:150])])
    )


def test_supplementary_records_are_counted_apart(
    index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    esa("align", index, split_reads(tmp_path), "-o", tmp_path / "o.sam")
    said = {line[:15].strip(): line[15:].strip() for line in capsys.readouterr().err.splitlines()}
    assert said["reads"] == "2"
    assert said["mapped"] == "2  (100.00 %)"
    assert said["supplementary"] == "1 records of split reads"


@pytest.mark.parametrize(("options", "clips"), [([], {"S", "H"}), (["-Y"], {"S"})])
def test_clips_of_supplementary_records(
    options: list[str], clips: set[str], index: Path, tmp_path: Path
) -> None:
    esa("align", index, split_reads(tmp_path), *options, "-o", tmp_path / "o.bam")
    records = records_of(tmp_path / "o.bam")
    assert [x.flag for x in records] == [0, 0x800, 0]
    assert {letter for x in records for letter in re.findall("[SH]", x.cigarstring)} == clips


@pytest.mark.parametrize("options", [["-a"], ["-k", "2"], ["-k", "1"]])
def test_xa_stands_for_secondary_records(
    options: list[str], index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["align", str(index), split_reads(tmp_path), "--xa", *options, "-o", str(tmp_path / "o.sam")]
    assert run(arguments) == 2
    assert "--xa stands for the secondary records" in capsys.readouterr().err
    assert list(tmp_path.glob("o*")) == []


# --- how the process ends


def big_fastq(path: Path) -> str:
    """More than any pipe holds, in small batches."""
    copies = [(f"{name}.{k}", bases) for k in range(100) for name, bases in FIRST]
    return write(path, fastq_text(copies))


@pytest.mark.parametrize("options", ["", "-o /dev/stdout -t 2 --batch-size 20"])
def test_head_ends_it_quietly(options: str, index: Path, tmp_path: Path) -> None:
    script = f'"$0" -m esa align "$1" "$2" {options} | head -n 4; echo "${{PIPESTATUS[0]}}"'
    done = shell(script, index, big_fastq(tmp_path / "big.fq"))
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert lines[-1] == "141"


def test_full_devices(index: Path, tmp_path: Path) -> None:
    (tmp_path / "full.bam").symlink_to("/dev/full")
    for output in ("> /dev/full", "-o /dev/full", f"-o {tmp_path}/full.bam"):
        done = shell(f'"$0" -m esa align "$1" "$2" {output}', index, big_fastq(tmp_path / "big.fq"))
        assert done.returncode == 1
        assert done.stderr.startswith("esa: cannot write ")
        assert "No space left on device; make room there" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["o.sam", "o.bam"])
def test_a_full_disk_leaves_nothing(name: str, index: Path, tmp_path: Path) -> None:
    # A limit on file sizes stands in for a disk that fills up.
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / name
    script = 'ulimit -f 32; exec "$0" -m esa align "$1" "$2" -o "$3" --batch-size 100'
    done = shell(script, index, big_fastq(tmp_path / "big.fq"), out)
    assert done.returncode == 1
    assert f"esa: cannot write {out}: " in done.stderr
    assert "room" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(out.parent.iterdir()) == []


def through_a_fifo(index: Path, reads: str, folder: Path) -> tuple[int, bytes]:
    """Exit code of a run that writes BAM into a FIFO, and what came out of it."""
    fifo = folder / "pipe.bam"
    os.mkfifo(fifo)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(fifo.read_bytes()), daemon=True)
    reader.start()
    code = run(["align", str(index), reads, "-q", "--batch-size", "20", "-o", str(fifo)])
    reader.join(timeout=60)
    assert not reader.is_alive(), "the run ended without opening the FIFO"
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    return code, received[0]


def test_bam_in_a_fifo_is_whole_if_all_is_well(
    index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "well").mkdir()
    code, data = through_a_fifo(index, write(tmp_path / "R1.fq", fastq_text(FIRST)), tmp_path / "well")
    assert code == 0
    assert data.endswith(bgzf.END)
    (tmp_path / "copy.bam").write_bytes(data)
    pysam.samtools.quickcheck(str(tmp_path / "copy.bam"))
    assert len(records_of(tmp_path / "copy.bam")) == len(FIRST)


def test_bam_in_a_fifo_is_not_whole_after_a_fault(
    index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ill").mkdir()
    reads = write(tmp_path / "R1.fq", fastq_text(10 * FIRST) + "@cut\nACGT\n")
    code, data = through_a_fifo(index, reads, tmp_path / "ill")
    assert code == 1
    assert len(data) > 1000
    assert not data.endswith(bgzf.END), "the reader must see that something is missing"
    (tmp_path / "copy.bam").write_bytes(data)
    with pytest.raises(pysam.utils.SamtoolsError):
        pysam.samtools.quickcheck(str(tmp_path / "copy.bam"))


def stalled(index: Path, fifo: Path, out: Path, *options: str) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    """`esa align` that has read and written something, and waits for more of its reads."""
    os.mkfifo(fifo)
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            INTERRUPTIBLE,
            "align",
            index,
            fifo,
            "-o",
            out,
            "--batch-size",
            "10",
            *options,
        ],
        stderr=subprocess.PIPE,
    )
    writer = open(fifo, "wb")  # noqa: SIM115 - waits for the command to open it
    writer.write(fastq_text(FIRST).encode())
    writer.flush()
    return process, writer


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("name", ["o.sam", "o.bam"])
def test_a_signal_leaves_nothing(
    number: signal.Signals, code: int, name: str, index: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / name
    process, writer = stalled(index, tmp_path / "reads.fq", out)
    with writer:
        assert len(list(out.parent.iterdir())) == 1, "records are written beside their final place"
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert said.decode().strip() == f"esa: {'interrupted' if code == 130 else 'terminated'}"
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize("threads", [1, 2, 6])
def test_an_index_that_is_cut_while_it_is_in_use(index: Path, tmp_path: Path, threads: int) -> None:
    """Each batch is looked at before: not a byte that is gone is read."""
    copied = tmp_path / "copied.esa"
    shutil.copytree(index, copied)
    (tmp_path / "out").mkdir()
    process, writer = stalled(copied, tmp_path / "reads.fq", tmp_path / "out" / "o.bam", "-t", str(threads))
    with writer:
        largest = max(copied.glob("*.npy"), key=lambda path: path.stat().st_size)
        os.truncate(largest, 4096)
        with contextlib.suppress(BrokenPipeError):
            writer.write(fastq_text(FIRST).encode())
            writer.close()
        _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert b"a file became shorter while it was in use (4096 bytes instead of " in said
    assert list((tmp_path / "out").iterdir()) == []


def test_reads_that_end_early_in_a_pipe(index: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "o.sam"
    process, writer = stalled(index, tmp_path / "reads.fq", out)
    with writer:
        writer.write(b"@cut\nAC")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"record 61 ('cut')" in said
    assert list(out.parent.iterdir()) == []
