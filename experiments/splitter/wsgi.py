"""Turn environment variables into the visitor tier alone, for as many hosts as the traffic needs.

granian --interface wsgi experiments.splitter.wsgi:application
"""

import atexit
import os

from experiments.splitter.app import Splitter
from experiments.splitter.config import BadSetting, from_environ
from experiments.splitter.stores import RedisStore


def visitor_tier() -> Splitter:
    """Make a started visitor tier; what the environment lacks ends the process with a message of one line."""
    try:
        config = from_environ(os.environ)
    except BadSetting as error:
        raise SystemExit(f"greenhouse: {error}") from None
    splitter = Splitter(config, RedisStore(config.store_url, shards=config.journal_shards))
    splitter.start()
    atexit.register(splitter.close)
    return splitter


application = visitor_tier()
