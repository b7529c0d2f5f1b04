"""Archives as sources: their members are found and read where they lie; nothing is unpacked."""
