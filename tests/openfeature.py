"""OpenFeature's own clients from the npm registry: fetched once, kept outside the project's files.

Nothing of theirs is run but what the tests import.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

INSTALL_SECONDS = 180
PACKAGES = (
    "@openfeature/ofrep-web-provider@0.4.3",
    "@openfeature/web-sdk@1.10.0",
    "@openfeature/ofrep-provider@0.1.3",
    "@openfeature/ofrep-core@0.1.4",
    "@openfeature/server-sdk@1.23.0",
    "@openfeature/core@1.12.0",
)


def packages() -> Path:
    """Return the folder that holds node_modules; skip the test where they cannot be had."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed (apt install npm), and OpenFeature's clients come from there")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "greenhouse-tests" / "openfeature"
    done = base / "-".join(package.rpartition("@")[2] for package in PACKAGES)
    if done.exists():
        return base
    base.mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(base)]
    try:
        asked = subprocess.run(
            [*command, *PACKAGES], capture_output=True, timeout=INSTALL_SECONDS, check=False, cwd=base
        )
    except subprocess.TimeoutExpired:
        pytest.skip("npm's registry does not answer, and OpenFeature's clients come from there")
    if asked.returncode:
        pytest.skip("npm could not fetch OpenFeature's clients")
    done.touch()
    return base
