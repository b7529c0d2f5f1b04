"""What a clinic does with scores: certified thresholds."""
