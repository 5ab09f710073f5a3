"""nginx with split_clients, a static file, Set-Cookie, and an access log line with visitor and arm for each request.

What an operator would build without us, and the physical limit here.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.serving import running
from tests.servers import free_port

SEARCHED = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"  # where Debian puts nginx
CONFIGURATION = """
worker_processes 1; daemon off; error_log stderr; pid %(folder)s/pid;
events { worker_connections 1024; }
http {
  sendfile on; keepalive_requests 1000000000; default_type text/html; client_body_temp_path %(folder)s/body;
  split_clients "$request_id" $drawn { %(split)s }
  map $cookie_arm $arm { default $cookie_arm; "" $drawn; }
  map $cookie_arm $given { default ""; "" "arm=$drawn; visitor=$request_id; Path=/p/; HttpOnly; SameSite=Lax"; }
  log_format visits '$msec $request_id $arm';
  access_log %(folder)s/visits.log visits;
  server {
    listen 127.0.0.1:%(port)d;
    location = /p/paperless/ {
      add_header Set-Cookie $given; add_header Cache-Control "private, no-store"; add_header Vary Cookie;
      rewrite ^ /pages/$arm.html break; root %(folder)s;
    }
  }
}
"""


@contextmanager
def nginx(folder: Path, pages: Mapping[str, bytes]) -> Iterator[int]:
    """Serve the pages of the arms, each to the same share of visitors."""
    (folder / "pages").mkdir()
    for arm, page in pages.items():
        (folder / "pages" / f"{arm}.html").write_bytes(page)
    *drawn, last = pages
    split = " ".join(f"{100 // len(pages)}% {arm};" for arm in drawn) + f" * {last};"
    port = free_port()
    (folder / "nginx.conf").write_text(CONFIGURATION % {"folder": folder, "split": split, "port": port})
    command = [str(shutil.which("nginx", path=SEARCHED)), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    with running(command, port):
        yield port
