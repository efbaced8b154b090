"""One thread that prepares what is needed next, while the other trains."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Any

JOIN_SECONDS = 10.0
"""How long `close` waits for a thread that sits in a read or in somebody's generator; it is a daemon."""
LEAVE_SECONDS = 0.5
"""The same where nobody reads on: a run that was interrupted because no data came shall end."""


class Prefetch:
    """The items of an iterator, prepared by a thread of its own: at most `ahead` of them wait or are being made.

    An exception in the iterator comes out of `get` with its traceback, behind the items made before it.
    `close` ends the thread; a thread that nobody reads from holds no more than `ahead` items.
    """

    def __init__(self, items: Iterator[Any], ahead: int = 2) -> None:
        self._items, self._ahead = items, ahead
        self._made: deque[tuple[Any, BaseException | None]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="deepmath-prefetch", daemon=True)
        self._thread.start()

    def get(self) -> Any:
        """The next item. Raises what the iterator raised, StopIteration included."""
        with self._changed:
            while not self._made:
                self._changed.wait()
            item, error = self._made[0]
            if error is None:
                self._made.popleft()
                self._changed.notify_all()
        if error is not None:
            raise error
        return item

    def close(self, seconds: float = JOIN_SECONDS) -> None:
        """End the thread; what it made is let go. A thread that is still in a read then ends behind it."""
        with self._changed:
            self._closed = True
            self._made.clear()
            self._changed.notify_all()
        self._thread.join(seconds)

    def _work(self) -> None:
        error: BaseException | None = None
        while error is None:
            with self._changed:
                while len(self._made) >= self._ahead and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
            item = None
            try:
                item = next(self._items)
            except BaseException as raised:  # whatever it is, the thread that trains must hear of it
                error = raised
            with self._changed:
                if not self._closed:
                    self._made.append((item, error))
                    self._changed.notify_all()
            del item  # or this thread would hold it while it waits
