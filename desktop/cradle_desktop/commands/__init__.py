"""What `cradle` can do, one module per family of commands. `table` lists them all; handlers are imported when called."""
