"""Tests of the configuration: no process, no socket."""
