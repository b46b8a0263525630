"""Images that a person brings, written once as a Poise dataset.

In: a source. Out: Parquet shards and a manifest. Next: ``poise.data.stream.stream``.
"""
