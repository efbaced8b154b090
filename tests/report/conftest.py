"""Tests of the report run over every kind of view."""

import pytest
from reported import KINDS


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param
