"""What a study's trials show, in sentences and tables."""
