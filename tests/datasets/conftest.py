"""What the tests of CSV files share."""

import pytest


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write data.csv in the working folder, so that messages name it shortly."""
    monkeypatch.chdir(tmp_path)

    def write(content):
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / "data.csv").write_bytes(data)
        return "data.csv"

    return write
