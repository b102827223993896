"""The Faust side: the only place in ``streams`` with sockets, clocks and threads."""
