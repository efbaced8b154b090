"""stub until the branch tables lands"""

from typing import Any


class Frame:
    @staticmethod
    def of(x: Any) -> "Frame": ...


def is_frame(x: Any) -> bool:
    return False
