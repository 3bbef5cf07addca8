"""The proving ground: real programs, real kernel, whole networks on one machine.

* A *sandbox* (``sandbox.py``) is a set of fresh namespaces that the kernel itself takes away,
  whatever happens to us. Everything below lives inside one.
* A *node* (``node.py``) is a machine: its own network, ``/run/plait``, ``/sys`` and host name.
* A *drawing* (``drawing.py``) declares nodes and links in a few lines of text;
  a *lab* (``topology.py``) builds them.
* A *bridge* (``bridge.py``, ``bridge_process.py``, ``channel.py``) is an emulated radio link.
* A *scenario* (``scenarios/``) builds a lab, lets real traffic run, and judges what it saw: by a trial
  (``trial.py``: one link unplugged and replugged), or by a study of its own (``bonding.py``,
  ``cutting.py``, ``flapping.py``, ``renumbering.py``, ``fetching.py``).

The lab imports nothing of plait's other packages and runs the installed command as a user
would: the ruler is not made of the thing measured.
"""
