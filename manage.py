#!/usr/bin/env python
"""Django's command line."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    # Whatever is written from here on is for its owner alone: the database and its logs hold leads and sessions.
    os.umask(0o077)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "greenhouse.settings")
    execute_from_command_line(sys.argv)
