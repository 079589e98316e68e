"""The broker: links, watcher, sessions and tunnels behind one documented HTTP API."""
