"""Adapters: one file per kind of business system, all behind `target.Target`."""
