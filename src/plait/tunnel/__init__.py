"""Parcels over paths: what goes into datagrams, when, on which path, and in which order it comes out. Pure.

* ``frames``: what travels inside a sealed datagram.
"""
