"""Real landing pages that nobody here wrote, from the npm registry: fetched once, kept outside the project's files.

Only the tarballs are fetched; nothing in them is run.
"""

import os
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

FETCH_SECONDS = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    package: str
    version: str
    path: str

    def __str__(self) -> str:
        return self.package


def _start_bootstrap(name: str, version: str) -> Template:
    return Template(package=f"startbootstrap-{name}", version=version, path="package/dist/index.html")


TEMPLATES = (
    _start_bootstrap("agency", "7.0.12"), _start_bootstrap("business-casual", "7.0.9"),
    _start_bootstrap("clean-blog", "6.0.9"), _start_bootstrap("coming-soon", "6.0.7"),
    _start_bootstrap("creative", "7.0.7"), _start_bootstrap("freelancer", "7.0.7"),
    _start_bootstrap("grayscale", "7.0.6"), _start_bootstrap("landing-page", "6.0.6"),
    _start_bootstrap("new-age", "6.0.7"), _start_bootstrap("one-page-wonder", "6.0.6"),
    _start_bootstrap("resume", "7.0.6"), _start_bootstrap("stylish-portfolio", "6.0.6"),
    Template(package="material-kit", version="2.0.4", path="package/examples/landing-page.html"),
    Template(package="now-ui-kit", version="1.3.0", path="package/examples/landing-page.html"),
    Template(package="paper-kit-2", version="2.1.0", path="package/examples/landing.html"),
)  # fmt: skip


def folder() -> Path:
    """Return where tarballs are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "greenhouse-tests" / "templates"


def tarball(template: Template) -> Path:
    """Return a template's tarball, fetched if it is not there yet; skip the test where it cannot be."""
    kept = folder() / f"{template.package}-{template.version}.tgz"
    if kept.exists():
        return kept
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed (apt install npm), and real pages to import come from there")
    folder().mkdir(parents=True, exist_ok=True)
    command = [npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", str(folder())]
    try:
        done = subprocess.run(
            [*command, f"{template.package}@{template.version}"],
            capture_output=True, timeout=FETCH_SECONDS, check=False, cwd=folder(),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        pytest.skip("npm's registry does not answer, and real pages to import come from there")
    if done.returncode or not kept.exists():
        pytest.skip("npm could not fetch real pages to import")
    return kept


def page(template: Template) -> bytes:
    with tarfile.open(tarball(template)) as packed:
        member = packed.extractfile(template.path)
        assert member is not None
        return member.read()


def unpacked(template: Template, into: Path) -> Path:
    """Unpack a template, so that a web server can serve it; return the page's file."""
    with tarfile.open(tarball(template)) as packed:
        packed.extractall(into, filter="data")
    return into / template.path
