"""Settings, addresses and processes; no product code."""
