"""What the owner wants: one frozen model, and the loaders that build it.

* ``model`` is the vocabulary and the reference manual; everybody reads it.
* ``toml`` is the loader of plait's own files; it reports every fault at once.
* ``values`` and ``table`` are its grammar: single values, and tables of them.
* ``consistency`` looks at what no single table can know (names, references).
* ``roles`` and ``notes`` answer "may this verb run it?" and "what will not be done?".

Pure, but for the reading of a file in ``toml``.
"""
