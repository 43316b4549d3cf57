"""The prompt language: text in, values out; no torch, no files but styles.csv.

=================== ===========================================================================
``comments``        cut ``# …`` out of a prompt
``styles``          merge styles into a prompt, find them again in a pasted one
``style_files``     styles.csv: load, save, what the dropdown lists
``extra_networks``  cut ``<lora:name:0.8>`` and its kin out of a prompt; write such tags
``composition``     ``a :1.2 AND b``: a prompt as weighted sub-prompts
``schedule``        ``[a:b:0.5]`` and ``[a|b]``: which text is in force at which model call
``attention``       ``(a:1.3) [b]``: a text as weighted pieces, ``BREAK``
``chunks``          pieces as rows of 75 tokens with multipliers and embeddings
``old_emphasis``    the first emphasis implementation: one row, weights read off the tokens
``token_count``     the counter beside a prompt box
=================== ===========================================================================

A prompt passes them in this order. Every parser takes time linear in the length of its text and
keeps its own stack, so that no nesting of brackets exhausts Python's.
"""
