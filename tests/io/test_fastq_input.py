"""Where reads come from: gzip of every kind, standard input, FIFOs; threads, files and counters after use."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import threading
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from Bio import bgzf

from esa.errors import ReadsError, UsageError
from esa.io import _read_kernels, compressed
from esa.io.fastq import ReadSource


def make_fastq(n: int, seed: int = 0) -> bytes:
    rng = np.random.default_rng(seed)
    letters = np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, (n, 50))]
    return b"".join(b"@r%d\n%s\n+\n%s\n" % (i, row.tobytes(), b"I" * 50) for i, row in enumerate(letters))


PLAIN = make_fastq(3000)


def digest(*paths: object, **options: int) -> tuple[int, int, int]:
    """Number of reads and checksums of sequences and names."""
    n = codes = names = 0
    with ReadSource(*map(str, paths), **options) as source:  # type: ignore[arg-type]
        for batch in source:
            n += len(batch)
            codes = zlib.crc32(batch.codes.tobytes(), codes)
            names = zlib.crc32(batch.names.tobytes(), names)
    return n, codes, names


@pytest.fixture
def plain(tmp_path) -> Path:
    path = tmp_path / "plain.fq"
    path.write_bytes(PLAIN)
    return path


def failure(path: Path) -> str:
    with pytest.raises(ReadsError) as caught:
        digest(path)
    return str(caught.value)


def inflate_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("read ")]


def bgzip(path: Path, content: bytes) -> None:
    with bgzf.BgzfWriter(str(path), "wb") as out:
        out.write(content)


@pytest.mark.parametrize("chunk", [1000, 1 << 22])
def test_gzip_multi_member_and_bgzip(tmp_path, plain, chunk):
    want = digest(plain)
    one, many, blocks = tmp_path / "one.gz", tmp_path / "many", tmp_path / "b.fq"
    one.write_bytes(gzip.compress(PLAIN))
    pieces = [PLAIN[i : i + 9999] for i in range(0, len(PLAIN), 9999)]
    many.write_bytes(b"".join(gzip.compress(piece) for piece in [b"", *pieces, b""]))
    bgzip(blocks, PLAIN)
    # By content, not by name: two of these do not end in .gz.
    assert [digest(path, chunk_bytes=chunk) for path in (one, many, blocks)] == [want] * 3
    assert inflate_threads() == []


def test_gzip_of_nothing(tmp_path):
    path = tmp_path / "empty.fq.gz"
    path.write_bytes(gzip.compress(b""))
    assert digest(path)[0] == 0
    path.write_bytes(b"")
    assert digest(path)[0] == 0


def test_pairs_of_which_one_is_gzip(tmp_path, plain):
    path = tmp_path / "2.fq.gz"
    path.write_bytes(gzip.compress(PLAIN))
    assert digest(plain, path)[0] == 6000


@pytest.mark.parametrize("keep", [2, 5, 11, 1000, -9, -8, -1])
def test_truncated_gzip(tmp_path, keep):
    path = tmp_path / "cut.fq.gz"
    path.write_bytes(gzip.compress(PLAIN)[:keep])
    message = failure(path)
    assert message.startswith(f"{path}: truncated gzip file")
    assert "copy or download it again" in message
    assert inflate_threads() == []


def test_truncated_second_member(tmp_path):
    path = tmp_path / "cut.fq.gz"
    path.write_bytes(gzip.compress(PLAIN) + gzip.compress(PLAIN)[:-5])
    assert failure(path).startswith(f"{path}: truncated gzip file")


def flip(content: bytes, at: int) -> bytes:
    changed = bytearray(content)
    changed[at] ^= 0x55
    return bytes(changed)


@pytest.mark.parametrize(
    "damage",
    [
        lambda zipped: flip(zipped, -6),  # CRC
        lambda zipped: flip(zipped, -2),  # length
        lambda zipped: flip(zipped, 2),  # compression method
        lambda zipped: zipped + b"trailing garbage",
    ],
)
def test_corrupt_gzip(tmp_path, damage):
    path = tmp_path / "bad.fq.gz"
    path.write_bytes(damage(gzip.compress(PLAIN)))
    message = failure(path)
    assert message.startswith(f"{path}: corrupt gzip file (")
    assert "gzip -t" in message


def test_flipped_bits_in_the_data_never_pass(tmp_path):
    zipped = gzip.compress(PLAIN)
    path = tmp_path / "bad.fq.gz"
    for at in range(30, len(zipped) - 8, len(zipped) // 20):
        path.write_bytes(flip(zipped, at))
        assert str(path) in failure(path)


def test_bam_behind_gzip_is_named(tmp_path):
    path = tmp_path / "reads.bam"
    bgzip(path, b"BAM\1" + bytes(100))
    assert failure(path).startswith(f"{path}: is a BAM file")


@pytest.mark.parametrize("zipped", [False, True])
def test_standard_input(plain, zipped):
    code = (
        "from esa.io.fastq import ReadSource\n"
        "with ReadSource('-') as s:\n"
        "    print(sum(len(b) for b in s), s.total_bytes, s.bytes_read)"
    )
    data = gzip.compress(PLAIN) if zipped else PLAIN
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True)
    assert done.stdout.split() == [b"3000", b"None", str(len(data)).encode()]
    assert done.stderr == b""


@pytest.mark.parametrize("zipped", [False, True])
def test_standard_input_without_a_descriptor(plain, monkeypatch, zipped):
    data = gzip.compress(PLAIN) if zipped else PLAIN
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert digest("-") == digest(plain)
    assert not sys.stdin.buffer.closed


def test_faults_of_standard_input(plain, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"@a\nAJ\n+\nII\n")))
    with pytest.raises(ReadsError, match=r"^standard input: record 1 \('a'\): 'J' at base 2"):
        digest("-")
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ReadsError, match="standard input: is closed"):
        digest("-")


def test_standard_input_that_is_the_mate_file(plain, monkeypatch):
    with open(plain) as handle:
        monkeypatch.setattr(sys, "stdin", handle)
        with pytest.raises(UsageError, match="R1 and as R2"):
            ReadSource(str(plain), "-")


@pytest.mark.parametrize("zipped", [False, True])
def test_fifos(tmp_path, plain, zipped):
    paths = [tmp_path / "one", tmp_path / "two"]
    data = gzip.compress(PLAIN) if zipped else PLAIN
    writers = []
    for path in paths:
        os.mkfifo(path)
        writers.append(threading.Thread(target=path.write_bytes, args=(data,)))
        writers[-1].start()
    with ReadSource(*map(str, paths), batch_size=100) as source:
        assert source.total_bytes is None
        assert sum(len(batch) for batch in source) == 6000
    for writer in writers:
        writer.join()
    assert source.bytes_read == 2 * len(data)


@pytest.mark.parametrize("zipped", [False, True])
def test_counters(tmp_path, zipped):
    data = gzip.compress(PLAIN, 1) if zipped else PLAIN
    paths = [tmp_path / "1", tmp_path / "2"]
    for path in paths:
        path.write_bytes(data)
    with ReadSource(*map(str, paths), batch_size=100, chunk_bytes=1 << 12) as source:
        assert (source.total_bytes, source.bytes_read) == (2 * len(data), 0)
        seen = [source.bytes_read for _ in source]
    assert seen == sorted(seen)
    assert seen[0] > 0
    assert source.bytes_read == source.total_bytes


def test_early_close_ends_threads_and_closes_files(tmp_path, monkeypatch):
    monkeypatch.setattr(compressed, "_BLOCK_BYTES", 1000)
    path, other = tmp_path / "1.gz", tmp_path / "2.gz"
    for each in (path, other):
        each.write_bytes(gzip.compress(PLAIN))
    before = len(os.listdir("/proc/self/fd"))
    with ReadSource(str(path), str(other), batch_size=10, chunk_bytes=500) as source:
        next(source)
        assert len(inflate_threads()) == 2
    assert inflate_threads() == []
    assert len(os.listdir("/proc/self/fd")) == before
    assert list(source) == []
    source.close()


def test_a_fault_closes_too(tmp_path):
    path = tmp_path / "1.gz"
    path.write_bytes(gzip.compress(b"@a\nJ\n+\nI\n" + 100 * PLAIN, 1))
    before = len(os.listdir("/proc/self/fd"))
    source = ReadSource(str(path), batch_size=1)
    with pytest.raises(ReadsError, match="'J'"):
        next(source)
    assert inflate_threads() == []
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_silent_writer_does_not_keep_the_process_alive(tmp_path):
    """The gzip FIFO stays open and silent after its first bytes: neither closing nor exiting may hang."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    code = (
        "import sys\n"
        "from esa.io import compressed\n"
        "from esa.errors import ReadsError\n"
        "compressed._JOIN_SECONDS = 0.1\n"
        "source = compressed.ByteSource(sys.argv[1], ReadsError)\n"
        "source.close()\n"
        "print('closed')\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(fifo)], stdout=subprocess.PIPE) as process:
        with open(fifo, "wb", buffering=0) as writer:
            writer.write(gzip.compress(PLAIN)[:100])
            out, _ = process.communicate(timeout=60)
        assert out == b"closed\n"
        assert process.returncode == 0


@pytest.mark.parametrize("zipped", [False, True])
def test_read_errors_name_the_file(tmp_path, monkeypatch, zipped):
    class Broken(io.BytesIO):
        def readinto(self, _out: object) -> int:
            raise OSError(5, "Input/output error")

    data = gzip.compress(PLAIN) if zipped else PLAIN
    path = tmp_path / "r.fq"
    path.write_bytes(data)
    monkeypatch.setattr(compressed, "_open", lambda _: Broken(data))
    assert failure(path) == f"{path}: cannot be read: Input/output error"


def test_memory_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "r.fq"
    path.write_bytes(20 * PLAIN)
    assert path.stat().st_size > 6 << 20
    digest(path)  # compiles
    tracemalloc.start()
    try:
        assert digest(path, batch_size=100, chunk_bytes=1 << 14)[0] == 60_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize("kind", ["fasta", "fastq"])
def test_a_long_record_is_not_scanned_again_for_every_chunk(tmp_path, monkeypatch, kind):
    sizes = []
    scan = getattr(_read_kernels, f"scan_{kind}")

    def counting(buffer, begin, end, *rest):
        sizes.append(end - begin)
        return scan(buffer, begin, end, *rest)

    monkeypatch.setattr(_read_kernels, f"scan_{kind}", counting)
    bases = b"A" * 1_000_000
    path = tmp_path / "long"
    path.write_bytes(b">a\n" + bases if kind == "fasta" else b"@a\n" + bases + b"\n+\n" + bases + b"\n")
    assert digest(path, chunk_bytes=1000)[0] == 1
    assert sum(sizes) < 4 * path.stat().st_size


def test_reading_past_the_end_and_past_a_fault(tmp_path):
    path = tmp_path / "1.gz"
    buffer = memoryview(bytearray(1 << 20))
    path.write_bytes(gzip.compress(b"ACGT"))
    source = compressed.ByteSource(str(path), ReadsError)
    assert [source.readinto(buffer) for _ in range(3)] == [4, 0, 0]
    source.close()
    path.write_bytes(gzip.compress(b"ACGT")[:-1])
    source = compressed.ByteSource(str(path), ReadsError)
    for _ in range(2):
        with pytest.raises(ReadsError, match="truncated"):
            list(iter(lambda: source.readinto(buffer), 0))
    source.close()


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("ahead", [1, 20_000])
@pytest.mark.parametrize("first", [0, 1])
def test_one_writer_of_two_fifos(tmp_path, zipped, ahead, first):
    """As `samtools fastq -1 .. -2 ..` writes: in turn, a block at a time, of whichever mate comes first."""
    pairs, record = 40_000, b"@r%d\n" + b"A" * 100 + b"\n+\n" + b"I" * 100 + b"\n"
    fifos = [tmp_path / "1", tmp_path / "2"]
    for fifo in fifos:
        os.mkfifo(fifo)

    def write():
        order = [fifos[first], fifos[1 - first]]
        with open(order[0], "wb") as one, open(order[1], "wb") as two:
            for begin in range(0, pairs, ahead):
                for out in (one, two):
                    text = b"".join(record % i for i in range(begin, begin + ahead))
                    out.write(gzip.compress(text, 1) if zipped and ahead > 1 else text)

    threading.Thread(target=write, daemon=True).start()
    done = []
    with ReadSource(*map(str, fifos)) as source:
        reader = threading.Thread(
            target=lambda: done.append(sum(len(batch) for batch in source)), daemon=True
        )
        reader.start()
        reader.join(60)
    assert done == [2 * pairs]
