"""Writes approved changes back to one target instance, exactly once, in order per record."""
