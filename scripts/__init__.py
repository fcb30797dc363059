"""Benchmarks, checks and data makers; run each from the repository root as ``python -m scripts.FOLDER.NAME``."""
