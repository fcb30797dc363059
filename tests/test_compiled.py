"""`esa.compiled`: compiled code is kept where only the user can write, for one version of the package."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from esa import compiled


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """No place but those that a test names, and nothing remembered."""
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(compiled.tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    forget()
    yield
    forget()


def forget() -> None:
    """What was found of places so far."""
    compiled._kept_folder.cache_clear()
    compiled._passing_folder.cache_clear()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_place_that_is_set_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    places = []
    for name in (None, "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"):
        if name:
            monkeypatch.setenv(name, str(tmp_path / name))
        forget()
        folder = compiled.kernel_folder()
        places.append(folder.relative_to(tmp_path).parts[0])
        while folder.name != "esa-kernels":
            assert mode(folder) == 0o700
            folder = folder.parent
        assert mode(folder) == 0o700
    assert places == ["home", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"]


@pytest.mark.parametrize("fault", ["open to others", "link", "file"])
def test_a_place_that_is_not_the_users_own_is_passed_over(tmp_path: Path, fault: str):
    place = tmp_path / "home" / ".cache" / "esa-kernels"
    place.parent.mkdir(parents=True)
    if fault == "open to others":
        place.mkdir()
        place.chmod(0o777)
    elif fault == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        place.symlink_to(tmp_path / "elsewhere")
    else:
        place.touch()
    folder = compiled.kernel_folder()
    assert folder.parent.parent == tmp_path / "tmp" / f"esa-kernels-{os.getuid()}"
    assert mode(folder) == 0o700


def test_without_any_place_a_process_has_its_own(tmp_path: Path):
    (tmp_path / "home").touch()
    (tmp_path / "tmp" / f"esa-kernels-{os.getuid()}").touch()
    folder = compiled.kernel_folder()
    assert folder.parent == tmp_path / "tmp"
    assert mode(folder) == 0o700


def test_a_change_of_any_module_changes_the_folder_and_removes_the_old(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    package = tmp_path / "package"
    (package / "inner").mkdir(parents=True)
    module = package / "inner" / "constants.py"
    module.write_text("A = 1\n")
    monkeypatch.setattr(compiled, "_PACKAGE", package)
    folders = []
    for text in ("A = 1\n", "A = 2\n"):
        module.write_text(text)
        forget()
        folders.append(compiled.kernel_folder())
    assert folders[0].parent == folders[1].parent
    assert not folders[0].exists()
    assert folders[1].exists()


CALLER = """
from pathlib import Path
from esa.compiled import njit, kernel_folder
@njit
def twice(x):
    return 2 * x
print(twice(21), kernel_folder(), len(list(kernel_folder().rglob("*.nbc"))))
"""


def test_compiled_code_is_kept_there(tmp_path: Path):
    script = tmp_path / "caller.py"
    script.write_text(CALLER)
    env = {
        **os.environ,
        "NUMBA_CACHE_DIR": str(tmp_path / "kept"),
        "PYTHONPATH": str(compiled._PACKAGE.parent),
    }
    out = subprocess.run([sys.executable, script], env=env, check=True, capture_output=True, text=True)
    value, folder, files = out.stdout.split()
    assert (value, files) == ("42", "1")
    assert Path(folder).is_relative_to(tmp_path / "kept" / "esa-kernels")
    assert not list(tmp_path.glob("__pycache__/*.nbc"))
