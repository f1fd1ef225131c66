"""Links of the device's side: streams of bytes that never make the caller wait. None of them knows an agent."""
