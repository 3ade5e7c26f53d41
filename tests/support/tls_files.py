"""A certificate for 127.0.0.1 that nobody trusts."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from pathlib import Path

__all__ = ["certificate"]

_folder = tempfile.TemporaryDirectory()


_lock = threading.Lock()


def certificate() -> tuple[Path, Path]:
    """Make it, once in a process; returns its file and that of its key."""
    with _lock:
        return _certificate()


def _certificate() -> tuple[Path, Path]:
    file, key = Path(_folder.name) / "cert.pem", Path(_folder.name) / "key.pem"
    if file.exists():
        return file, key
    options = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subject = ["-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", *options, *subject, "-keyout", key, "-out", file]
    subprocess.run(command, check=True, capture_output=True)
    return file, key
