"""The desktop: Service Manager, partnerships, metadata, sync engine, providers and the `cradle` command."""
