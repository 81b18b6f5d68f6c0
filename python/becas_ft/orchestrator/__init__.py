"""Runs each category's pipeline: reads the ledger, takes one step, writes the ledger."""
