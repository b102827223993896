"""The demo: a broker, a worker and a stream on this machine, watched in the terminal."""
