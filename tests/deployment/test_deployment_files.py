"""The files of examples/deployment are what their programs take."""

from __future__ import annotations

import os
import re
import subprocess

import pytest
from balanced import EXAMPLES, program

from katana_asgi.config.model import SETTINGS
from tests.support import TIMEOUT


def test_systemd_takes_the_units(tmp_path):
    path = program("systemd-analyze")
    for name in ("app.service", "app.socket"):
        text = (EXAMPLES / name).read_text()
        # The command has to exist, which on this machine it does not.
        (tmp_path / name).write_text(re.sub(r"/opt/app/venv/bin/katana-asgi", "/bin/true", text))
    units = [str(tmp_path / name) for name in ("app.service", "app.socket")]
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    done = subprocess.run(
        [path, "verify", "--man=no", *units],
        capture_output=True,
        text=True,
        env=environment,
        timeout=3 * TIMEOUT,
    )
    said = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "app." in line]
    assert said == []
    if done.returncode:
        pytest.skip(f"systemd-analyze does not work here: {done.stderr.strip()[:200]}")


def test_flags_and_variables_are_settings():
    flags = {setting.flag for setting in SETTINGS.values()} | {"--config", "--check-config"}
    variables = {
        name for setting in SETTINGS.values() for name in (setting.variable, *setting.environment)
    }
    variables.add("KATANA_ASGI_NATIVE")  # of the build
    for path in EXAMPLES.iterdir():
        text = path.read_text()
        for line in text.replace("\\\n", "").splitlines():
            arguments = line.partition("katana-asgi")[2]
            assert set(re.findall(r"--[a-z][a-z-]+", arguments)) <= flags, (path, line)
        assert set(re.findall(r"\b(?:KATANA|FORWARDED)_[A-Z_]+", text)) <= variables, path
