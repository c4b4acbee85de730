"""The cold store: what leaves the hot log, or is copied out of it, and how it is checked."""
