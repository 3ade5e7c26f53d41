"""Chains for the command line."""

from langchain_core.runnables import RunnableLambda

shout = RunnableLambda(str.upper)
