"""`esa.kernels.decorator`: compiled code is kept where only the user can write, for one version of the package."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import threading
from argparse import Namespace
from pathlib import Path

import pytest

from esa.kernels import cache, decorator
from esa.kernels.decorator import Kernel, njit


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """No place but those that a test names, and nothing remembered."""
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(cache.tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    forget()
    yield
    forget()


def forget() -> None:
    """What was found of places so far."""
    cache.kernel_folder.cache_clear()
    cache._NOT_KEPT.clear()


def the_folder() -> Path:
    folder = cache.kernel_folder()
    assert folder is not None
    return folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_place_that_is_set_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    places = []
    for name in (None, "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"):
        if name:
            monkeypatch.setenv(name, str(tmp_path / name))
        forget()
        folder = the_folder()
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
    folder = the_folder()
    assert folder.parent.parent == tmp_path / "tmp" / f"esa-kernels-{os.getuid()}"
    assert mode(folder) == 0o700


@pytest.mark.parametrize("fault", ["a file in each place", "no temporary directory"])
def test_without_any_place_nothing_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: str):
    (tmp_path / "home").touch()
    if fault == "no temporary directory":

        def gettempdir() -> str:
            raise FileNotFoundError("No usable temporary directory found")  # so it is with all disks full

        monkeypatch.setattr(cache.tempfile, "gettempdir", gettempdir)
    else:
        (tmp_path / "tmp" / f"esa-kernels-{os.getuid()}").touch()
    assert cache.kernel_folder() is None
    assert cache.complete_mark() is None
    assert njit(lambda x: 2 * x)(21) == 42


def test_a_change_of_any_module_changes_the_folder_and_removes_the_old(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    package = tmp_path / "package"
    (package / "inner").mkdir(parents=True)
    module = package / "inner" / "constants.py"
    module.write_text("A = 1\n")
    monkeypatch.setattr(cache, "_PACKAGE", package)
    folders = []
    for text in ("A = 1\n", "A = 2\n"):
        module.write_text(text)
        forget()
        folders.append(the_folder())
    assert folders[0].parent == folders[1].parent
    assert not folders[0].exists()
    assert folders[1].exists()


def test_kept_code_is_as_good_as_its_source_and_not_as_its_time(tmp_path: Path):
    module = tmp_path / "module.py"

    def stamp(text: str, time: int) -> str:
        module.write_text(text)
        os.utime(module, (time, time))
        return decorator._Place.get_source_stamp(Namespace(_py_file=str(module)))

    assert stamp("A = 1\n", 1) == stamp("A = 1\n", 2) != stamp("A = 2\n", 2)


def test_a_folder_that_another_version_removes_is_made_anew_for_this_user_alone(tmp_path: Path):
    folder = the_folder()
    before = os.umask(0)
    try:
        shutil.rmtree(tmp_path / "home")
        assert njit(lambda x: 2 * x)(21) == 42
    finally:
        os.umask(before)
    kept = list(folder.rglob("*.nbc"))
    assert kept
    for part in kept[0].relative_to(folder.parent.parent).parents:
        assert mode(folder.parent.parent / part) == 0o700, part


def test_what_cannot_be_kept_is_told_once_and_used_all_the_same(capsys: pytest.CaptureFixture[str]):
    folder = the_folder()
    shutil.rmtree(folder)
    folder.touch()
    assert njit(lambda x: 2 * x)(21) == 42
    assert njit(lambda x: 3 * x)(21) == 63
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert str(folder) in said
    assert "NUMBA_CACHE_DIR" in said
    assert not cache.all_kept()


PATIENCE = 20
"""Seconds that a test waits for what should come at once."""


def test_who_has_to_wait_for_another_process_hears_of_it_first():
    said: list[str] = []
    heard = threading.Event()
    with cache.alone("testing", lambda: said.append("free")):
        thread = threading.Thread(target=wait, args=(said, heard))
        thread.start()
        told = heard.wait(PATIENCE)
        said.append("done")
    thread.join()
    assert told
    assert said == ["waiting", "done", "in"]


def wait(said: list[str], heard: threading.Event) -> None:
    def waiting() -> None:
        said.append("waiting")
        heard.set()

    # Another descriptor of the file: the lock does not know threads from processes.
    with cache.alone("testing", waiting):
        said.append("in")


def test_a_kernel_has_one_python_entry_however_many_ask_for_it_at_once():
    kernel = njit(lambda x: x)
    ask = Kernel.__dict__["python_entry"].func  # without what Python's own lock, up to 3.11, does for it
    assert ask(kernel) is ask(kernel)


CALLER = """
from pathlib import Path
from esa.kernels.decorator import njit
from esa.kernels.cache import kernel_folder
@njit
def twice(x):
    return 2 * x
print(twice(21), kernel_folder(), len(list(kernel_folder().rglob("*.nbc"))))
"""


FULL_DISK = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
"""


def run_script(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, with the folder to keep code and to import from."""
    script = folder / "script.py"
    script.write_text(text)
    env = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "kept"), "PYTHONPATH": str(cache._PACKAGE.parent)}
    return subprocess.run([sys.executable, script], env=env, check=True, capture_output=True, text=True)


def test_compiled_code_is_kept_there(tmp_path: Path):
    out = run_script(tmp_path, CALLER)
    value, folder, files = out.stdout.split()
    assert (value, files, out.stderr) == ("42", "1", "")
    assert Path(folder).is_relative_to(tmp_path / "kept" / "esa-kernels")
    assert not list(tmp_path.glob("__pycache__/*.nbc"))


def test_a_full_disk_ends_no_run(tmp_path: Path):
    out = run_script(tmp_path, FULL_DISK + CALLER)
    value, folder, files = out.stdout.split()
    assert (value, files) == ("42", "0")
    assert out.stderr.count("\n") == 1
    assert folder in out.stderr
    assert "File too large" in out.stderr


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
@pytest.mark.parametrize("left", [0, 0.5])
def test_a_file_that_is_cut_short_is_made_anew(tmp_path: Path, kind: str, left: float):
    run_script(tmp_path, CALLER)
    (file,) = tmp_path.rglob(f"*.{kind}")
    size = file.stat().st_size
    os.truncate(file, int(left * size))
    out = run_script(tmp_path, CALLER)
    assert (out.stdout.split()[0], out.stderr) == ("42", "")
    (file,) = tmp_path.rglob(f"*.{kind}")
    assert file.stat().st_size == size
    when = file.stat().st_mtime_ns
    run_script(tmp_path, CALLER)
    assert file.stat().st_mtime_ns == when, "it was not read"


INNER = """
import math
import numpy as np
from esa.kernels.decorator import njit
@njit
def inner(x):
    roots = np.zeros(len(x))
    for i in range(len(x)):
        roots[i] = math.sqrt(x[i])
    return roots, x.sum()
x = np.arange(5) ** 2
"""

COMPILES = """
from inner import inner, njit, x
@njit
def other(x):
    return inner(x)[1]
print(inner(x)[1], other(x))
"""

LOADS = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
import numpy as np
from inner import inner, njit, x
def counts(dispatcher):
    stats = dispatcher.stats
    return sum(stats.cache_hits.values()), sum(stats.cache_misses.values())
@njit
def outer(x):
    roots, total = inner(x)
    return np.sort(roots)[::-1].copy(), str(len(x)), {total: roots.mean()}[total]
start = Barrier(8)
def call(_):
    start.wait()
    return outer(x)
print(inner(x)[1], *counts(inner.python_entry))
with ThreadPoolExecutor(8) as pool:
    results = list(pool.map(call, range(8)))
assert all(r[0].tolist() == [4, 3, 2, 1, 0] and r[1:] == ("5", 2.0) for r in results), results
print(*counts(inner), *counts(outer.python_entry))
"""


def test_a_kernel_that_is_loaded_can_be_compiled_into_another(tmp_path: Path):
    (tmp_path / "inner.py").write_text(INNER)
    assert run_script(tmp_path, COMPILES).stdout == "30 30\n"
    # numba's registries are empty when `outer` is compiled, by one of the threads that ask for it.
    assert run_script(tmp_path, LOADS).stdout == "30 1 0\n1 0 0 1\n"


SORTS = """
import numpy as np
from esa.kernels.decorator import njit
@njit
def sort(x):
    y = x.copy()
    y.sort()
    return y
"""

ORDERS = """
import numpy as np
from esa.kernels.decorator import njit
@njit
def order(x):
    return np.argsort(x)
"""

TAKES_BOTH = """
import numpy as np
from sorts import sort
from orders import order
x = np.random.default_rng(1).integers(0, 1000, 500)
assert (sort(x) == np.sort(x)).all()
assert (x[order(x)] == np.sort(x)).all()
"""


@pytest.mark.parametrize("apart", range(-4, 5))
def test_what_several_processes_have_compiled_is_not_mixed_up(apart: int, tmp_path: Path):
    """numba's sort and argsort consist of functions of the same names; they are compiled with any numbers apart."""
    (tmp_path / "sorts.py").write_text(SORTS)
    (tmp_path / "orders.py").write_text(ORDERS)
    for call, before in (("from sorts import sort as f", apart), ("from orders import order as f", -apart)):
        run_script(
            tmp_path,
            f"""
from numba.core.bytecode import FunctionIdentity
for _ in range({before}):
    next(FunctionIdentity._unique_ids)
{call}
import numpy as np
f(np.arange(3))
""",
        )
    run_script(tmp_path, TAKES_BOTH)


def test_a_forked_process_numbers_functions_anew(tmp_path: Path):
    run_script(
        tmp_path,
        """
import os
import esa.kernels.decorator
from numba.core.bytecode import FunctionIdentity
reader, writer = os.pipe()
if not os.fork():
    os.write(writer, b"%d" % next(FunctionIdentity._unique_ids))
    os._exit(0)
assert abs(int(os.read(reader, 99)) - next(FunctionIdentity._unique_ids)) > 1000
""",
    )
