"""A job with a checkpoint, as a program of its own: `driver.py ADDRESS URL SOURCE TARGET`."""

import sys

import ray

from langchain_easyllm import EasyLLMEmbeddings
from langchain_easyllm.ray import checkpoint, embed

address, url, source, target = sys.argv[1:]
ray.init(address=address, log_to_driver=False, logging_level="ERROR")
checkpoint(f"{target}.checkpoint", "id")
dataset = ray.data.read_parquet(source)
embed(dataset, EasyLLMEmbeddings(base_url=url), rows_per_block=64).write_parquet(target)
