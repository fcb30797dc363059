"""Real reads, reads from nowhere, and reads of other primates."""
