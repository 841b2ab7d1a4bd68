"""One service for all tests of a module that do not change it; starting one takes a while."""

from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from support.service import client_of


@pytest.fixture(scope="module")
def running():
    """What the first test of a module starts, and its end stops."""
    with ExitStack() as stack:
        yield SimpleNamespace(stack=stack, client=None)


@pytest.fixture
def shared_client(running, tiny_bundle, tmp_path):
    """Return a function that gives the client of the module's service, with these settings."""

    def give(**settings):
        if running.client is None:
            running.client = running.stack.enter_context(client_of(tiny_bundle, **settings))
        return running.client

    return give
