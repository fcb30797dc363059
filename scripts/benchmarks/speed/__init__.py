"""Reads per second beside other aligners."""
