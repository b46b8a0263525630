"""Converts a log's columns to metrics of Poise, and derives further metrics."""
