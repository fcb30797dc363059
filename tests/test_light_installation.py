"""A plain installation runs the main job; what an extra brings is asked for by its command.

Libraries are absent in a process of its own: `without.esa_without`.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from samples import fasta_text, random_bases, write
from without import esa_without

import esa
from esa.errors import EXTRAS, EsaError, MissingLibraryError, needed_by

PACKAGE = Path(esa.__file__).parent
PROJECT = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
USERS_PACKAGES = {"click", "torch", "numpy", "biopython", "pysam", "faiss-cpu", "tqdm", "pytest"}
"""What the project's users asked for by name."""
IMPORTED_AS = {"biopython": "Bio", "faiss-cpu": "faiss", "tomli-w": "tomli_w"}
"""Package: the name of its import, where the two differ."""
BROUGHT = {"llvmlite"}
"""What one of the declared packages pins for itself: numba."""
ABSENT = (*EXTRAS, "Bio", "dnaio", "scipy", "tokenizers", "xopen", "yaml")
"""What no plain installation holds."""


def packages(requirements: list[str]) -> set[str]:
    """Names in requirements, extras of the project's own resolved."""
    names: set[str] = set()
    for requirement in requirements:
        found = re.fullmatch(r"([\w-]+)(?:\[([\w,]+)\])?[^\[\]]*", requirement)
        assert found is not None
        name, extras = found.groups()
        if name == PROJECT["name"]:
            names |= {n for extra in extras.split(",") for n in extra_packages(extra)}
        else:
            names.add(name)
    return names


def extra_packages(extra: str) -> set[str]:
    return packages(PROJECT["optional-dependencies"][extra])


def imports_of(names: set[str]) -> set[str]:
    return {IMPORTED_AS.get(name, name) for name in names}


BASE = packages(PROJECT["dependencies"])


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> str:
    genome = {"a": random_bases(np.random.default_rng(5), 120_000)}
    return write(tmp_path_factory.mktemp("ref") / "ref.fa", fasta_text(genome))


def refused(libraries: list[str], *command: object) -> str:
    """The one line that a command says when these libraries are absent."""
    done = esa_without(libraries, command)
    assert (done.returncode, done.stdout) == (EsaError.exit_code, "")
    (line,) = done.stderr.splitlines()
    return line


def test_the_main_job_needs_the_plain_installation_alone(reference: str, tmp_path: Path) -> None:
    index, sam, bam = (tmp_path / name for name in ("x.esa", "x.sam", "x.bam"))
    pair = [tmp_path / f"x_R{end}.fq.gz" for end in (1, 2)]
    done = esa_without(
        ABSENT,
        ["simulate", reference, "--pairs", 50, "-o", tmp_path / "x"],
        ["index", reference, "-o", index, "-t", 1],
        ["info", index, "--verify"],
        ["align", index, *pair, "-o", sam, "-t", 1],
        ["align", index, *pair, "-o", bam, "-t", 1],
        ["eval", f"SAM={sam}", f"BAM={bam}"],
    )
    assert done.returncode == 0, done.stderr
    assert "OK: every byte" in done.stdout
    assert bam.stat().st_size


@pytest.mark.parametrize("library", ["torch", "faiss"])
def test_a_preset_names_what_it_needs(library: str, reference: str, tmp_path: Path) -> None:
    out = tmp_path / "x.esa"
    said = refused([library], "index", reference, "--preset", "rde", "-o", out)
    assert said == f"esa: preset 'rde' needs {library}: pip install 'esa-align[dense]'"
    assert not out.exists()


def test_the_sketch_needs_faiss_and_no_torch(reference: str, tmp_path: Path) -> None:
    out = tmp_path / "x.esa"
    command = ("index", reference, "--preset", "sketch", "-q", "-t", 1, "-o", out)
    assert refused(["faiss"], *command) == "esa: preset 'sketch' needs faiss: pip install 'esa-align[dense]'"
    assert esa_without(["torch"], command).returncode == 0
    reads = write(tmp_path / "r.fa", f">r\n{Path(reference).read_text().splitlines()[1][500:900]}\n")
    assert (
        refused(["faiss"], "align", out, reads, "-o", tmp_path / "o.sam")
        == f"esa: index {out} needs faiss: pip install 'esa-align[dense]'"
    )
    said = refused(["torch"], *command, "--device", "auto", "--force")
    assert said == "esa: device 'auto' needs torch: pip install 'esa-align[dense]'"


@pytest.mark.parametrize("library", ["torch", "transformers"])
def test_a_checkpoint_needs_the_libraries_of_hugging_face(
    library: str, reference: str, tmp_path: Path
) -> None:
    for name in ("config.json", "model.safetensors"):
        write(tmp_path / name, "{}")
    encoder = f"hf:{tmp_path}"
    command = ("index", reference, "--preset", "sketch", "--encoder", encoder, "-o", tmp_path / "x.esa")
    said = refused([library], *command)
    assert said == f"esa: encoder {encoder!r} needs {library}: pip install 'esa-align[{EXTRAS[library]}]'"


def test_another_encoder_is_named_in_place_of_the_preset(reference: str, tmp_path: Path) -> None:
    command = ("index", reference, "--preset", "sketch", "--encoder", "rde:128", "-o", tmp_path / "x.esa")
    assert (
        refused(["torch"], *command) == "esa: encoder 'rde:128' needs torch: pip install 'esa-align[dense]'"
    )


@pytest.mark.parametrize("library", ["torch", "tomli_w"])
def test_training_names_what_it_needs(library: str, reference: str, tmp_path: Path) -> None:
    out = tmp_path / "encoder"
    said = refused([library], "train", "codes", "--ref", reference, "-o", out)
    assert said == f"esa: esa train needs {library}: pip install 'esa-align[dense]'"
    assert not out.exists()


def test_training_goes_without_a_picture(reference: str, tmp_path: Path) -> None:
    config = write(tmp_path / "config.toml", "[codes]\nbatch = 32\nprefixes = [16, 64]\n")
    out = tmp_path / "encoder"
    options = ["--config", config, "--steps", 1, "--workers", 0, "--device", "cpu"]
    done = esa_without(["matplotlib"], ["train", "codes", "--ref", reference, "-o", out, *options])
    assert done.returncode == 0, done.stderr
    assert "the picture of the curves needs matplotlib: pip install 'esa-align[plot]'" in done.stderr
    assert (out / "curves.csv").is_file()
    assert not (out / "curves.png").exists()


def test_only_optional_libraries_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_library"), needed_by("this"):
        import no_such_library  # type: ignore[import-not-found]  # noqa: F401
    monkeypatch.setitem(sys.modules, "tomli_w", None)
    said = r"^this needs tomli_w: pip install 'esa-align\[dense\]'$"
    with pytest.raises(MissingLibraryError, match=said), needed_by("this"):
        import tomli_w  # noqa: F401


def test_pyproject_declares_what_the_errors_promise() -> None:
    for library, extra in EXTRAS.items():
        assert library in imports_of(extra_packages(extra))
        assert library not in imports_of(BASE)
    assert BASE | extra_packages("all") >= USERS_PACKAGES


def third_party(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        yield from {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"esa"}


def test_every_import_of_the_package_is_declared() -> None:
    imported = {name for path in PACKAGE.rglob("*.py") for name in third_party(path)}
    assert imported - BROUGHT == imports_of(BASE) | set(EXTRAS)
