"""The master: binds, forks, supervises, reloads and stops, and runs no application code."""

from forkhttp.master.master import Master

__all__ = ["Master"]
