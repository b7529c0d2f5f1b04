"""HAM10000 as published: its tables, its lesions, its splits."""
