"""Tests of the handler classes: by hand, as their users' own tests drive them, and served."""
