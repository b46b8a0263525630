"""Writes the features of images into a Parquet file, one row for each image."""
