"""Small networks on top of a backbone, with one file per kind."""
