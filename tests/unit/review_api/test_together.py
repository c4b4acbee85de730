"""Calls that share a round trip: everyone is answered, nobody waits, blame is personal."""

import asyncio
from collections.abc import Sequence

import pytest

from review_api.together import Together


class Database:
    """Doubles numbers; a negative one spoils the batch it is in."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.busy = asyncio.Event()
        self.busy.set()

    async def ask(self, numbers: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(numbers))
        await self.busy.wait()
        if any(number < 0 for number in numbers):
            raise ValueError(str(numbers))
        if 13 in numbers:
            raise ConnectionError
        return [number * 2 for number in numbers]


def _together(database: Database, most: int = 64) -> Together[int, int]:
    return Together(database.ask, at_once=2, patience=0.01, most=most, alone_after=ValueError)


async def _gather(together: Together[int, int], numbers: Sequence[int]) -> list[object]:
    return await asyncio.gather(*(together(n) for n in numbers), return_exceptions=True)


def test_somebody_alone_waits_for_nobody() -> None:
    async def story() -> None:
        database = Database()
        assert await _together(database)(3) == 6
        assert database.batches == [[3]]

    asyncio.run(story())


@pytest.mark.parametrize("most", [3, 64])
def test_what_gathers_meanwhile_goes_together(most: int) -> None:
    async def story() -> None:
        database = Database()
        together = _together(database, most)
        database.busy.clear()
        first = asyncio.create_task(together(0))
        await asyncio.sleep(0)
        rest = asyncio.create_task(_gather(together, range(1, 8)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        database.busy.set()
        assert await first == 0
        assert await rest == [number * 2 for number in range(1, 8)]
        assert max(len(batch) for batch in database.batches) == min(most, 7)

    asyncio.run(story())


def test_who_comes_after_a_slow_one_does_not_wait_for_it() -> None:
    async def story() -> None:
        slow = asyncio.Event()

        async def ask(numbers: Sequence[int]) -> Sequence[int]:
            if 1 in numbers:
                await slow.wait()
            return numbers

        together = Together(ask, at_once=2, patience=0.01, most=64, alone_after=ValueError)
        first = asyncio.create_task(together(1))
        await asyncio.sleep(0)
        assert await asyncio.wait_for(together(2), 5) == 2
        assert not first.done()
        slow.set()
        assert await first == 1

    asyncio.run(story())


def test_nobody_is_overlooked_between_two_batches() -> None:
    async def story() -> None:
        together = _together(Database())

        async def hurry(number: int) -> None:
            for _ in range(200):
                assert await together(number) == number * 2

        await asyncio.wait_for(asyncio.gather(*(hurry(n) for n in range(5))), 20)

    asyncio.run(story())


def test_one_that_spoils_a_batch_fails_alone() -> None:
    async def story() -> None:
        database = Database()
        answers = await _gather(_together(database), [1, -2, 3])
        assert answers[0] == 2
        assert isinstance(answers[1], ValueError)
        assert answers[2] == 6

    asyncio.run(story())


def test_what_is_nobodys_fault_fails_all_of_the_batch() -> None:
    async def story() -> None:
        database = Database()
        together = _together(database)
        answers = await _gather(together, [1, 13])
        assert [type(one) for one in answers] == [ConnectionError, ConnectionError]
        assert await together(5) == 10  # and the next is served

    asyncio.run(story())


def test_asker_who_left_spoils_nothing() -> None:
    async def story() -> None:
        database = Database()
        together = _together(database)
        database.busy.clear()
        leaving = asyncio.create_task(together(1))
        await asyncio.sleep(0)
        staying = asyncio.create_task(together(2))
        await asyncio.sleep(0)
        leaving.cancel()
        database.busy.set()
        assert await staying == 4

    asyncio.run(story())
