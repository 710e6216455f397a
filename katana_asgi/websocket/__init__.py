"""WebSocket (RFC 6455, RFC 7692): the handshake, the frames and the messages made of them."""
