"""The embedded Redis: a real server, out of reach of others, that remembers what it wrote when it is killed."""

import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis

from greenhouse.embedded_redis import answers, command
from greenhouse.environment import LONGEST_SOCKET_PATH, socket_path

PATIENCE_SECONDS = 60.0


@contextmanager
def running(state_dir: Path) -> Iterator[tuple["subprocess.Popen[bytes]", Redis]]:
    url = f"unix://{socket_path(state_dir)}"
    with subprocess.Popen(command(state_dir), stdout=subprocess.DEVNULL) as process:
        try:
            give_up = time.monotonic() + PATIENCE_SECONDS
            while not answers(url) and time.monotonic() < give_up:
                time.sleep(0.02)
            with Redis.from_url(url) as redis:
                yield process, redis
        finally:
            process.terminate()


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "var"


def test_what_it_was_told_survives_being_killed(state_dir):
    with running(state_dir) as (process, redis):
        redis.set("count", 41)
        redis.incr("count")
        # While a sync is under way Redis holds the next writes back, for up to two seconds.
        while redis.info("persistence")["aof_buffer_length"]:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    with running(state_dir) as (_, redis):
        assert redis.get("count") == b"42"


def test_it_listens_on_no_port_and_lets_only_its_owner_in(state_dir):
    with running(state_dir) as (_, redis):
        assert redis.config_get("port") == {"port": "0"}
        assert stat.S_IMODE(socket_path(state_dir).stat().st_mode) == 0o700
        assert stat.S_IMODE((state_dir / "redis").stat().st_mode) == 0o700


def test_it_never_throws_a_key_away(state_dir):
    with running(state_dir) as (_, redis):
        assert redis.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_nobody_answers_where_there_is_no_server(tmp_path):
    assert not answers(f"unix://{tmp_path}/nobody.sock")


def test_a_deep_folder_gets_a_socket_path_that_the_system_allows(tmp_path):
    deep = tmp_path / ("deep" * 40)
    assert len(str(socket_path(deep))) <= LONGEST_SOCKET_PATH
    assert socket_path(deep) != socket_path(tmp_path / ("other" * 40))
