"""Adapters to servers and frameworks, each a module that is imported by its name."""
