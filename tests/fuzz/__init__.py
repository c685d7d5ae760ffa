"""Fuzzing of the parsers, for as long as one likes: ``scripts/fuzz``."""
