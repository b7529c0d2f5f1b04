"""The process that reads, decodes and infers, and its supervisor."""
