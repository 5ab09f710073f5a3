"""Turn a version into uv's program file, with the standard library alone: for machines whose python3 has no pip."""

import hashlib
import io
import json
import platform
import re
import sys
import urllib.request
import zipfile
from pathlib import Path

LOCK = Path(__file__).resolve().parent.parent / "uv.lock"
INDEX_AS_JSON = "application/vnd.pypi.simple.v1+json"  # PEP 691
TIMEOUT_SECONDS = 120


def wheel_tags():
    """Return what the name of a wheel for this machine must contain."""
    machine = platform.machine().lower()
    if sys.platform == "darwin":
        return "macosx", "arm64" if machine == "arm64" else "x86_64"
    return "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux", machine


def index():
    """Return the package index that the lock file names: the one the project's packages come from."""
    return re.search(r'registry = "([^"]+)"', LOCK.read_text("utf-8"))[1]


def read(url, **headers):
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - https, from the index named above
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
        return answer.read()


def find_wheel(version):
    tags = wheel_tags()
    for file in json.loads(read(f"{index()}/uv/", Accept=INDEX_AS_JSON))["files"]:
        name = file["filename"]
        if name.startswith(f"uv-{version}-") and name.endswith(".whl") and all(tag in name for tag in tags):
            return file
    sys.exit(f"there is no uv {version} for {' '.join(tags)}; install uv yourself: https://docs.astral.sh/uv/")


def main(version, folder):
    wheel = find_wheel(version)
    data = read(wheel["url"])
    if hashlib.sha256(data).hexdigest() != wheel["hashes"]["sha256"]:
        sys.exit(f"{wheel['filename']} arrived damaged; try again")
    folder.mkdir(parents=True)
    program = folder / "uv"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        member = next(name for name in archive.namelist() if name.endswith("/scripts/uv"))
        program.write_bytes(archive.read(member))
    program.chmod(0o755)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
