"""The desktop's half of a sync: plan what must happen, then do it. The rules both ends share are in cradle_protocol.sync."""
