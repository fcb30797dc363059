"""The accuracy grid: cells, verdicts and tables."""
