"""Names of the events that a session returns, each the first element of a tuple. A link's are in `link`."""

# Handshake
GREETED = "greeted"  # (GREETED, Peer): desktop: prove or pair now; device: greet or refuse now
CODE_WANTED = "code wanted"  # (CODE_WANTED, Peer), device: pair_by_code or refuse now; this is one try
PAIRED = "paired"  # (PAIRED, Peer, key): device: keep the key, then confirm_pairing or refuse
READY = "ready"  # (READY, Peer): both ends proved the key; device: accept or refuse now
REFUSED = "refused"  # (REFUSED, status, text): the handshake or the session was refused, by either end

# After the proof; a body is a memoryview that is valid until the next call of the session
REQUEST = "request"  # (REQUEST, kind, request, body, more), device
REPLY = "reply"  # (REPLY, kind, request, body, more), desktop
FAILED = "failed"  # (FAILED, request, status, text), desktop: an ERROR came instead of the (rest of the) reply
NOTICE = "notice"  # (NOTICE, kind, body)
