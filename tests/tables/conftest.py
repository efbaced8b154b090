"""What the tests of tables share: files in the working folder, so that messages name them shortly."""

from pathlib import Path

import pytest


@pytest.fixture
def put(tmp_path, monkeypatch):
    """Write a file of bytes or text into the working folder; gives its name."""
    monkeypatch.chdir(tmp_path)

    def put(content, name="t.csv"):
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return name

    return put
