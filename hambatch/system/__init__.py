"""The machine and its file system: files, locks, caches, processor, packages."""
