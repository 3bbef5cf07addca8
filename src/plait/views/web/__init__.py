"""The web page: a process of its own without privileges, which asks control over a socket pair and shows
what it is told to browsers, scripts and Prometheus. ``process.py`` is where it begins."""
