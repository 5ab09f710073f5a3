"""Settings, addresses and processes; no product code."""

import os

# Every process imports this package before it imports numpy. The product's matrices are small: OpenBLAS's threads wait
# for one another, and for the other processes' threads, longer than they work. An outlook took 13 to 17 CPU seconds
# with two threads and 2.5 with one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
