"""What `cradle` can do, one module per family of commands. `table` lists them; handlers are imported when called."""
