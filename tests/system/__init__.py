"""Whole servers, seen from outside: real processes, real clients, a real nginx."""
