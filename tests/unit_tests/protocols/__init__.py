"""Tests of the protocols: no sockets, no clocks but one."""
