"""Compiled functions: what the rest of esa needs beside plain `numba.njit`.

Python is too slow for the work on bases, so nearly all of it is done by *kernels*: functions that numba compiles. Two
decorators make them. `esa.kernels.decorator.njit` is for kernels that allocate arrays or are called from Python.
`esa.kernels.decorator.inline_njit` is for kernels that other kernels call in inner loops: they allocate nothing.

Why not `numba.njit(cache=True)`? Its cache serves stale code after an upgrade and cannot be shared between processes.
Its start-up and its compile time are several times longer with two hundred kernels. And each call between kernels pays
for reference counts of arrays. README.md in this folder lists the parts of numba that these decorators rely on.

`cache` says where compiled code is kept. `arrays` names types for annotations. `intrinsics` and `bits` are
instructions that numba lacks; `madvise` and `malloc` are settings of the operating system's memory.
"""
