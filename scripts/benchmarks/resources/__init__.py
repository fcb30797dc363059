"""Threads, memory, start-up, index and serial share."""
