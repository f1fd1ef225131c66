"""Who this desktop is and whom it is paired with. No link, no session: it remembers what those found out."""
