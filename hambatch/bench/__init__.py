"""Latency and throughput: measuring, comparing, drawing."""
