"""Registry of backbones: versions of models, and packages that are fetched from it."""
