"""Builds the runtime by hand, in the order in which data flows."""
