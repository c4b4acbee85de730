"""What can go wrong while measuring."""


class BenchError(Exception):
    """A measurement is worth nothing: too slow, refused, or the result was wrong. It says which."""
