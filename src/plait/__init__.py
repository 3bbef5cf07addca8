"""plait weaves several links into one fast, unbreakable way out for a whole LAN.

The rooms, and who may import whom, are described in ARCHITECTURE.md.
"""

__version__ = "0.1.0"
