"""Heads: small networks on top of a backbone."""
