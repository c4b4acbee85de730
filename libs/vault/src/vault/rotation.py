"""Rotation: everything wrapped anew by another key-encryption key, while services go on.

Owns the order. Data keys stay as they are, so that nothing that lies anywhere is encrypted again.

1. `KeyFile.create`: the file gets a new first key. Every service is given that file before
2. `finish`: from here on older keys may wrap nothing; who still has the old file is told, and reads
   its file again. Then what older keys wrap is wrapped by the first. A crash leaves some of each;
   do it again.
3. Nothing is wrapped by an older key any more, and nothing ever will be: `KeyFile.destroy`.
"""

from collections.abc import Callable
from typing import Final

from vault.keys import KeyFile
from vault.store import Store

_BATCH: Final = 500


def finish(store: Store, keys: KeyFile, progress: Callable[[int], None] = lambda _: None) -> int:
    """Wrap by the file's first key what older ones wrap; return how many keys that were.

    The store's role is the owner.

    Raises UnavailableError, UnknownKeyError.
    """
    store.note_kek(keys.current)
    store.retire_keks(keys.current)
    done, after = 0, ""
    while some := store.wrapped_by_others(keys.current, after, _BATCH):
        store.replace([(subject, old, keys.rewrap(old, subject)) for subject, old in some])
        done, after = done + len(some), some[-1][0]
        progress(done)
    return done
