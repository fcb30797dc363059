"""The choice of the device that torch computes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esa.errors import EsaError, UsageError, needed_by

if TYPE_CHECKING:  # torch takes a second to import, and the default preset aligns without
    import torch

    Device = torch.device

DEVICES = ("auto", "cpu", "cuda")


def choose_device(name: str) -> Device:
    """The device of a name in `DEVICES`; ``auto`` is CUDA if available, else the CPU.

    Raises:
        UsageError: another name.
        EsaError: ``cuda`` is given and not available.
        MissingLibraryError: torch is not installed.
    """
    if name not in DEVICES:
        raise UsageError(f"unknown device {name!r}; there are: {', '.join(DEVICES)}")
    with needed_by(f"device {name!r}"):
        import torch

    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise EsaError("no CUDA device can be used by this torch; give --device cpu")
    return torch.device("cuda" if name != "cpu" and available else "cpu")


def accelerator(name: str) -> Device | None:
    """`choose_device`, but None for the CPU; torch is not imported for ``cpu``."""
    if name == "cpu":
        return None
    device = choose_device(name)
    return None if device.type == "cpu" else device
