"""The demonstration: a business database, its target, and real model outputs to decide on."""
