"""Scoring on many machines: Parquet in, Parquet out, by Ray.

`pieces` cuts the input into ranges of rows, `folder` holds what is finished of the output, `engine` hands the pieces to
workers. Only `engine` needs Ray.
"""
