"""The tests of forkhttp; folders mirror its layers."""
