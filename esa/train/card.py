"""The model card beside trained weights: training data, duration, hardware and validation."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path

import torch

from esa import __version__
from esa.sequence.genome import Genome
from esa.train.loop import Trained


def hardware(device: torch.device) -> str:
    """Name of a GPU, or model of the processor and numbers of threads and cores."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration, IndexError):
        pass
    return f"{model}, {torch.get_num_threads()} of {os.cpu_count()} cores"


def model_card(
    kind: str,
    references: Sequence[str],
    genomes: tuple[Genome, Genome],
    trained: Trained,
    parameters: int,
    device: torch.device,
    validation: str,
) -> bytes:
    """The card of a run, in Markdown.

    Args:
        kind: of encoder.
        references: paths of the references.
        genomes: sequence trained on, and sequence validated on.
        trained: the finished run.
        parameters: number of trained parameters.
        device: that the run used.
        validation: meaning of the validation's numbers, in words.
    """
    progress = trained.progress
    training, kept_apart = genomes
    best = next((row for row in progress.curves if row["step"] == progress.best_step), {})
    first_recall = list(best).index("recall") if "recall" in best else len(best)
    lines = [
        f"# Encoder `{kind}`, trained by esa {__version__}",
        "",
        "| | |",
        "|---|---|",
        f"| Saw | {training.bases:,} bases of {', '.join(f'`{Path(r).name}`' for r in references)} |",
        f"| Validated on | {kept_apart.bases:,} bases of the same, the end of each, in no batch |",
        f"| Trained numbers | {parameters:,} |",
        f"| Steps | {progress.step:,} ({trained.stopped}); best validation at {progress.best_step:,} |",
        f"| Time | {progress.seconds / 3600:.2f} hours |",
        f"| Hardware | {hardware(device)}, torch {torch.__version__} |",
        "",
        f"Validation of the weights kept, the best of all on these very reads (of both strands of the held-out ends): "
        f"{validation}.",
        "",
        "| | share found |",
        "|---|---|",
        *(f"| {name} | {value:.4f} |" for name, value in list(best.items())[first_recall:]),
        "",
        "Settings in `config.toml`, curves in `curves.csv` and, if matplotlib was installed, `curves.png`.",
    ]
    return ("\n".join(lines) + "\n").encode()
