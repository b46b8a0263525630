"""Small networks on top of a backbone, one file a kind."""
