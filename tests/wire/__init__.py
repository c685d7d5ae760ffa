"""The tests of forkhttp.wire: octets in, values out, in milliseconds."""
