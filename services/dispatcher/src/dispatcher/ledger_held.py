"""Steps that met an outage of the whole target and wait for it, in the ledger.

Owns the statements that make them due. Refuses to know when the target is back (`work`).
"""

from dispatcher.ledger import Ledger


def let_go(ledger: Ledger) -> int:
    """Make all of them due, in the order in which they first were. Returns how many.

    One whose target asked for a pause (Retry-After) is due at its end.
    """
    with ledger.transaction() as transaction:
        return ledger.run(transaction, "let_go").rowcount


def let_one_go(ledger: Ledger) -> None:
    """Make the one due that has waited longest, unless something is due already."""
    with ledger.transaction() as transaction:
        ledger.run(transaction, "let_one_go")
