"""The desktop's half of a sync: plan what must happen, then do it. What both ends share is in cradle_protocol.sync."""
