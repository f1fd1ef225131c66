"""What a board can sync. Each module is optional: leaving one out costs nothing."""
