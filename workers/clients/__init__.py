"""Clients of services outside: arguments in, an answer or a reason out; never to private addresses unless allowed."""
