"""The endpoints, one file a resource: its schemas on top, its endpoints below."""
