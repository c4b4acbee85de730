"""The JSON API, split by resource. Every route declares the permission it needs (`guard`)."""
