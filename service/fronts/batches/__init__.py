"""Batches over HTTP: which requests are some, in which dialect, and with which options."""
