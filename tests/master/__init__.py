"""The master: its policy without a process, its parts, and the whole with a toy worker."""
