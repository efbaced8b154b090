"""The README's commands are the ones that the check uses. (Its Python blocks run in tests/docs/test_pages.py.)"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_has_exactly_two_commands():
    commands = [line for block in re.findall(r"```sh\n(.*?)```", README, re.S) for line in block.splitlines()]
    assert len(commands) == 2
    assert commands[0].endswith("deepmath train circles")
    assert commands[1].endswith("python .ci/check.py")
