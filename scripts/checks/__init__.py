"""Checks of the outputs and of the code, beyond what the test suite runs each time."""
