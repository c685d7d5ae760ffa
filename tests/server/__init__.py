"""Tests of the server: its parts with fakes, the loop with real sockets."""
