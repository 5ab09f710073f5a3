"""Settings from the environment."""

from pathlib import Path

import pytest

from experiments.splitter.config import BadSetting, Config, from_environ


def test_a_secret_key_is_all_that_is_needed():
    assert from_environ({"SECRET_KEY": "k"}) == Config(secret_key="k")


def test_both_folders_follow_the_one_for_all_state():
    config = from_environ({"SECRET_KEY": "k", "STATE_DIR": "/data"})
    assert (config.journal_dir, config.snapshot_dir) == (Path("/data/journal"), Path("/data/snapshot"))


def test_every_setting_is_read():
    config = from_environ(
        {
            "SECRET_KEY": "k",
            "SECRET_KEY_FALLBACKS": "a, b,",
            "REDIS_URL": "redis://elsewhere/1",
            "JOURNAL_DIR": "/j",
            "SNAPSHOT_DIR": "/s",
            "VISITOR_RATE_PER_SECOND": "0",
            "VISITOR_RATE_EXEMPT": "",
            "TRUSTED_PROXY_COUNT": "2",
        }
    )
    assert config == Config(
        secret_key="k",
        secret_key_fallbacks=("a", "b"),
        store_url="redis://elsewhere/1",
        journal_dir=Path("/j"),
        snapshot_dir=Path("/s"),
        rate_per_second=0,
        rate_exempt=frozenset(),
        trusted_proxy_count=2,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", ""),
        ("VISITOR_RATE_PER_SECOND", "many"),
        ("VISITOR_RATE_PER_SECOND", "nan"),
        ("VISITOR_RATE_PER_SECOND", "inf"),
        ("TRUSTED_PROXY_COUNT", "-1"),
    ],
)
def test_a_bad_setting_is_named(name: str, value: str):
    with pytest.raises(BadSetting, match=name):
        from_environ({"SECRET_KEY": "k", name: value})
