"""Turn environment variables into the visitor tier alone, for as many hosts as the traffic needs.

granian --interface wsgi experiments.splitter.wsgi:application
"""

import os
from multiprocessing.util import Finalize

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
    # Not by `atexit`: Granian's workers are forks of `multiprocessing`, which leave without it before Python 3.13. Its
    # own list is gone through by them, and by every other process at exit.
    Finalize(None, splitter.close, exitpriority=0)
    return splitter


application = visitor_tier()
