"""Every code block of the README and of the site runs, page by page, and gives the output that the page shows.

The blocks of a page run in order, in one name space and an empty folder. A ```text block right behind one is what it
prints, where ... stands for anything. ```python runs; of ```sh the lines of `deepmath` run; ```bash is for commands
that take long, or that need what a test hasn't: of these the options are parsed. ```toml and the like are data.
"""

import contextlib
import doctest
import io
import logging
import re
import shlex
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import click
import pytest
from click.testing import CliRunner

from deepmath.cli.app import commands

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *(p for p in sorted(DOCS.rglob("*.md")) if "_build" not in p.parts)]
RUN, READ = ("python", "sh"), ("bash",)
FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.M | re.S)
OTHERS = {"pip", "python3", "cc", "sphinx-build", "git", "."}
"""Commands beside our own that a page may show; none of them runs."""
LIKE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Block(NamedTuple):
    """A code block, the line that it begins in, and the output that is shown behind it."""

    kind: str
    text: str
    line: int
    shown: str | None


def blocks_of(page: str) -> list[Block]:
    """The code blocks of a page, each with its output."""
    found = list(FENCE.finditer(page))
    blocks = []
    for here, after in zip(found, [*found[1:], None], strict=True):
        near = after is not None and after[1] == "text" and not page[here.end() : after.start()].strip()
        blocks.append(Block(here[1], here[2], page[: here.start()].count("\n") + 1, after[2] if near else None))
    return blocks


def lines_of(block: Block) -> list[list[str]]:
    """The commands of a block, as words; all but the known ones are refused."""
    lines = [shlex.split(line, comments=True) for line in block.text.replace("\\\n", " ").splitlines()]
    lines = [words for words in lines if words]
    assert {words[0] for words in lines} <= OTHERS | {"deepmath"}, lines
    return [words[1:] for words in lines if words[0] == "deepmath"]


def output_of(block: Block, scope: dict) -> str:
    """Run a block of Python, or the commands of a block; what it prints."""
    if block.kind == "python":
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block.text, f"line {block.line}", "exec"), scope)
        return printed.getvalue()
    results = [CliRunner().invoke(commands, words, catch_exceptions=False) for words in lines_of(block)]
    assert not any(r.exit_code for r in results), [r.stderr for r in results]
    return "".join(r.stdout for r in results)


def parsed(words: list[str]) -> None:
    """Let click read a command's options without running it."""
    command: click.Command = commands
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    command.make_context(command.name, words).close()


def has_code(page: Path) -> bool:
    """Whether a page shows anything that can be run or read."""
    return any(block.kind in RUN + READ for block in blocks_of(page.read_text(encoding="utf-8")))


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """An empty folder that modules can be imported from; what a page changes in the process is put back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    logger, before = logging.getLogger("deepmath"), set(sys.modules)
    level = logger.level
    yield
    logger.setLevel(level)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.parametrize("page", [p for p in PAGES if has_code(p)], ids=lambda p: str(p.relative_to(ROOT)))
def test_its_blocks_run(page, alone):
    scope: dict = {"__name__": page.stem}
    run = RUN if page.parent != ROOT else ("python",)  # the README's commands install what this very run tests
    for block in blocks_of(page.read_text(encoding="utf-8")):
        if block.kind in run:
            printed = output_of(block, scope)
            if block.shown is not None:
                checker, example = doctest.OutputChecker(), doctest.Example("", block.shown)
                assert checker.check_output(block.shown, printed, LIKE), (
                    f"{page.name}, line {block.line}:\n{checker.output_difference(example, printed, LIKE)}"
                )
        elif block.kind in READ:
            for words in lines_of(block):
                parsed(words)


def test_a_shown_output_is_found_and_compared():
    page = "```python\nprint(1 + 1)\n```\n\n```text\n2\n```\n\nand\n\n```text\nelse\n```\n"
    first, *others = blocks_of(page)
    assert (first.shown, others[-1].kind, others[-1].shown) == ("2\n", "text", None)
    assert output_of(first, {}) == first.shown
    assert output_of(first._replace(text="print(3)"), {}) != first.shown


def test_a_command_that_a_page_must_not_show_is_refused():
    with pytest.raises(AssertionError):
        lines_of(Block("sh", "rm -rf runs\n", 1, None))
    with pytest.raises(click.UsageError):
        parsed(["train", "circles", "--epoch", "3"])
