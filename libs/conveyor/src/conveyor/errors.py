"""The one error family of conveyor that is not somebody else's.

Four families there are: *refused* is a value, *unreadable* is parked (`record.Parked`),
*unavailable* is this one, and everything else is a bug that ends the process uncommitted.
"""


class UnavailableError(Exception):
    """Something outside is away, or its answer was lost. Try the very same again later.

    Operators: the service goes on by itself once the named thing answers. Nothing was lost.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        """Keep `retry_after`, in seconds, where the other side asked for a pause."""
        super().__init__(message)
        self.retry_after = retry_after
