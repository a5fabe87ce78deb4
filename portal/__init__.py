"""A local stand-in for the Open OnDemand dashboard: a preview and a test bench, never a service."""
