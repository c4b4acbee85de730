"""Calls that come while one is under way go together in the next one.

Decisions are independent of each other, but each would pay a round trip and a commit of its own.
Sixteen people who decide at once share both; somebody alone waits for nobody. Nothing is delayed to
make a batch larger: a batch is what has gathered while the database was busy with the one before.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


class Together(Generic[Asked, Answered]):
    """Calls `ask` with many, answers each."""

    def __init__(
        self,
        ask: Callable[[Sequence[Asked]], Awaitable[Sequence[Answered]]],
        *,
        at_once: int,
        patience: float,
        most: int,
        alone_after: type[Exception],
    ) -> None:
        """`ask` answers in the order it is asked, and does all or nothing.

        One call of it is under way, with at most `most`; another starts beside it only where the
        one before has not answered within `patience` seconds (it waits for a lock, say), up to
        `at_once`. When one fails with `alone_after`, one of its askers is to blame: each is asked
        for alone.
        """
        self._ask = ask
        self._at_once = at_once
        self._patience = patience
        self._most = most
        self._alone_after = alone_after
        self._waiting: list[tuple[Asked, asyncio.Future[Answered]]] = []
        self._under_way = 0
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself holds tasks weakly

    async def __call__(self, asked: Asked) -> Answered:
        """Ask, and return the answer. Raises what `ask` raised."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answered] = loop.create_future()
        self._waiting.append((asked, answer))
        if not self._under_way:
            self._start()
        return await answer

    def _start(self) -> None:
        if self._waiting and self._under_way < self._at_once:
            self._under_way += 1
            task = asyncio.get_running_loop().create_task(self._run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                beside = loop.call_later(self._patience, self._start)
                try:
                    await self._answer(batch)
                finally:
                    beside.cancel()
        finally:
            # Nothing is awaited between the last look at who waits and this: nobody is overlooked.
            self._under_way -= 1

    async def _answer(self, batch: list[tuple[Asked, asyncio.Future[Answered]]]) -> None:
        try:
            answers = await self._ask([asked for asked, _ in batch])
        except self._alone_after as error:
            if len(batch) == 1:
                _fail(batch[0][1], error)
            for one in batch if len(batch) > 1 else ():
                await self._answer([one])
        except Exception as error:  # noqa: BLE001 - it is the askers' to handle, all of them
            for _, future in batch:
                _fail(future, error)
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():  # whoever asked may be gone
                    future.set_result(answer)


def _fail(future: asyncio.Future[Answered], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
