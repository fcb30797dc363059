"""Variants called from alignments."""
