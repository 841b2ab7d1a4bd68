"""Scanning: the verdicts on very many pictures as Parquet files; resumable, on many processes."""
