"""The README's code blocks run, one after another, and its commands are the ones that the check uses."""

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_its_python_blocks_run_in_order():
    scope: dict = {}
    blocks = re.findall(r"```python\n(.*?)```", README, re.S)
    assert len(blocks) >= 5
    for block in blocks:
        exec(compile(block, "README.md", "exec"), scope)
        if "folder" in scope:
            shutil.rmtree(scope["folder"], ignore_errors=True)


def test_it_has_exactly_two_commands():
    commands = [line for block in re.findall(r"```sh\n(.*?)```", README, re.S) for line in block.splitlines()]
    assert len(commands) == 2
    assert commands[0].endswith("deepmath train circles")
    assert commands[1].endswith("python .ci/check.py")
