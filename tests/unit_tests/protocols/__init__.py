"""Tests of the wire: no sockets, no clocks but one."""
