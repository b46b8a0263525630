"""Registered backbones: versions, and packages fetched from them."""
