"""One process, one event loop: listen, lifespan, accept, drain, lifespan."""
