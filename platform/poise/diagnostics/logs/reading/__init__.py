"""Readers of log files: text lines, JSON lines, CSV and TensorBoard's event files."""
