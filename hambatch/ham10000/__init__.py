"""HAM10000 as published: its tables, its lesions, its splits, its near-duplicates."""
