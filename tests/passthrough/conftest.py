"""What every test here has."""

import os

import pytest


@pytest.fixture(autouse=True)
def _no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody here speaks TLS, and loading every certificate of the machine takes a third of a small test."""
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)
