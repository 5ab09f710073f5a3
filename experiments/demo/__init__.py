"""The sample experiment and the simulated visitors that `make demo` and `manage.py simulate` send."""
